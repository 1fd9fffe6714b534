//! Appends and claims over the wire.

use gleaner_core::append::{by_grain, check_batch, landed};
use gleaner_core::{
    Appended, Claim, Entry, Error, ErrorKind, GrainId, Head, Limits, Result, Source,
};

use crate::BACKEND;
use crate::error::Lost;
use crate::link::Link;
use crate::proto;
use crate::wire::{Column, HeadReader, Malformed, Tables, decode_error, encode_grains};

/// About how many entries and payload bytes go into one message: enough that a round trip is cheap beside
/// them, so few that others' calls go in between.
const PIECE_ENTRIES: usize = 4_096;
const PIECE_BYTES: usize = 1 << 20;
/// What an entry takes beside its payload and key, at most.
const BESIDE: usize = 96 + Source::MAX;

/// Appends a batch, in as many messages as it takes.
///
/// A message holds whole grains: a grain's entries are one prefix only if they are judged together, and
/// so is a retry. A grain that is too large for a message goes alone, in pieces, and where it is found to
/// be there already is looked up as the log would (L3).
pub(crate) async fn append_batch(link: &Link, entries: &[Entry]) -> Result<Vec<Appended>> {
    let limits = link.live().await?.described.limits;
    check_batch(entries, &limits, BACKEND)?;
    // An entry that no log may take is not sent: L2 (1) decides before all else.
    let mut checked = Vec::new();
    let mut groups = Vec::new();
    for (grain, mut group) in by_grain(entries) {
        let wrong = group
            .iter()
            .enumerate()
            .find_map(|(at, entry)| Some((at, entry.check(&limits, BACKEND).err()?)));
        if let Some((at, _)) = &wrong {
            group.truncate(*at);
        }
        checked.push((grain, !group.is_empty(), wrong.map(|(_, error)| error)));
        if !group.is_empty() {
            groups.push((grain, group));
        }
    }
    let mut answers = send_all(link, groups).await?.into_iter();
    let mut appended = Vec::with_capacity(checked.len());
    for (grain, sent, wrong) in checked {
        appended.push(match (sent, wrong) {
            (false, Some(wrong)) => refused(grain, wrong),
            (_, wrong) => {
                let lost = || Lost::Unknown.malformed(Malformed("no answer for a grain"));
                let mut answer = answers.next().ok_or_else(lost)?;
                if let Some(wrong) = wrong
                    && answer.result.is_ok()
                {
                    answer.result = Err(wrong);
                }
                answer
            }
        });
    }
    Ok(appended)
}

/// A grain's entries, in their order.
type Group<'a> = (&'a GrainId, Vec<&'a Entry>);

async fn send_all(link: &Link, groups: Vec<Group<'_>>) -> Result<Vec<Appended>> {
    let most = most_bytes(link);
    let mut answers = Vec::with_capacity(groups.len());
    let mut groups = groups.into_iter().peekable();
    while let Some((grain, group)) = groups.next() {
        let (mut count, mut bytes) = (group.len(), size(grain, &group));
        let mut piece = vec![(grain, group)];
        let is_giant = bytes > most;
        while !is_giant
            && let Some((grain, group)) = groups.next_if(|(grain, group)| {
                count + group.len() <= PIECE_ENTRIES && bytes + size(grain, group) <= PIECE_BYTES
            })
        {
            count += group.len();
            bytes += size(grain, &group);
            piece.push((grain, group));
        }
        let appended = match piece.as_slice() {
            [(grain, group)] if is_giant => {
                giant(link, grain, group, most).await.map(|one| vec![one])
            }
            piece => send(link, piece).await,
        };
        match appended {
            Ok(appended) => answers.extend(appended),
            Err(error) if answers.is_empty() => return Err(error),
            // What was sent before has been done, and is answered. A refusal of the rest would be the same
            // again: it is each grain's own, or the batch would be sent for ever.
            Err(error) if !error.is_retryable() => {
                let left = piece.into_iter().chain(groups.by_ref());
                answers.extend(left.map(|(grain, _)| refused(grain, error.clone().of(grain))));
            }
            Err(error) => {
                let message = format!("a part of the batch was not answered: {error}");
                return Err(Error::unknown(BACKEND, message).caused_by(error));
            }
        }
    }
    Ok(answers)
}

/// Nothing of a grain was written.
fn refused(grain: &GrainId, error: Error) -> Appended {
    Appended {
        grain: grain.clone(),
        landed: 0,
        result: Err(error),
    }
}

/// How large a message's entries may be.
fn most_bytes(link: &Link) -> usize {
    let described = link.described();
    let most = described.map_or(Limits::DEFAULT_MAX_PAYLOAD, |it| it.max_message);
    most.saturating_sub(PIECE_BYTES).max(PIECE_BYTES)
}

fn size(grain: &GrainId, group: &[&Entry]) -> usize {
    let payloads: usize = group.iter().map(|entry| entry.payload().len()).sum();
    let names = grain.grain_type().len() + grain.grain_key().len();
    payloads
        .saturating_add(names)
        .saturating_add(group.len().saturating_mul(BESIDE))
}

/// One grain's entries, too large for a message.
async fn giant(link: &Link, grain: &GrainId, group: &[&Entry], most: usize) -> Result<Appended> {
    let mut done = 0;
    let mut begun = false;
    let mut head = None;
    while done < group.len() {
        let rest = group.get(done..).unwrap_or_default();
        let mut bytes = 0_usize;
        let fits = rest
            .iter()
            .take_while(|entry| {
                bytes = bytes.saturating_add(size(grain, &[entry]));
                bytes <= most
            })
            .count();
        // One entry is sent however large it is: that it is over the limit is for the leader to say.
        let piece = rest.get(..fits.max(1)).unwrap_or_default().to_vec();
        let answer = send(link, &[(grain, piece)]).await;
        let appended = match answer {
            Ok(answers) => answers.into_iter().next(),
            Err(error) if begun => {
                let message = format!("a part of the batch was not answered: {error}");
                return Err(Error::unknown(BACKEND, message).of(grain).caused_by(error));
            }
            Err(error) => return Err(error),
        };
        let Some(appended) = appended else {
            return Err(Lost::Unknown.malformed(Malformed("no answer for a grain")));
        };
        begun = true;
        done += appended.landed;
        match appended.result {
            Ok(found) => head = Some(found),
            Err(error) => {
                // Of a batch that is sent again, the head may stand in a later piece.
                let there = match error.kind() {
                    ErrorKind::Conflict { head } => landed(head.as_ref(), group),
                    _ => 0,
                };
                if there <= done {
                    return Ok(Appended {
                        grain: grain.clone(),
                        landed: done,
                        result: Err(error),
                    });
                }
                done = there;
                if let ErrorKind::Conflict { head: found } = error.kind() {
                    head = found;
                }
            }
        }
    }
    let result = head.ok_or_else(|| Error::unknown(BACKEND, "no entry was answered").of(grain));
    Ok(Appended {
        grain: grain.clone(),
        landed: done,
        result,
    })
}

/// One message.
async fn send(link: &Link, piece: &[Group<'_>]) -> Result<Vec<Appended>> {
    let (mut tables, mut column) = (Tables::default(), Column::default());
    let mut counts = Vec::with_capacity(piece.len());
    for (_, group) in piece {
        counts.push(u32::try_from(group.len()).unwrap_or(u32::MAX));
        for entry in group {
            column.push(&mut tables, entry);
        }
    }
    let grains = piece.iter().map(|(grain, _)| *grain);
    let request = proto::AppendRequest {
        grains: Some(encode_grains(&mut tables, grains)),
        counts,
        entries: Some(column.finish()),
    };
    let only = match piece {
        [(grain, _)] => Some(*grain),
        _ => None,
    };
    let answer = link
        .call(
            Lost::Unknown,
            only,
            request,
            |mut client, request| async move { client.append(request).await },
        )
        .await?;
    appended(piece, answer).map_err(|malformed| Lost::Unknown.malformed(malformed))
}

fn appended(piece: &[Group<'_>], answer: proto::AppendAnswer) -> Result<Vec<Appended>, Malformed> {
    if answer.landed.len() != piece.len() || answer.refused.len() != piece.len() {
        return Err(Malformed("not one answer for each grain"));
    }
    let mut heads = HeadReader::new(answer.heads)?;
    let mut errors = answer.errors.into_iter();
    let mut appended = Vec::with_capacity(piece.len());
    for ((grain, group), (count, refused)) in piece
        .iter()
        .zip(answer.landed.into_iter().zip(answer.refused))
    {
        let landed = usize::try_from(count).unwrap_or(usize::MAX);
        // All of them landed, or something was refused.
        if landed > group.len() || (landed < group.len() && !refused) {
            return Err(Malformed("an impossible number of landed entries"));
        }
        let result = if refused {
            let error = errors.next().ok_or(Malformed("a reason is missing"))?;
            Err(decode_error(error, Some(grain))?)
        } else {
            Ok(heads.next()?)
        };
        appended.push(Appended {
            grain: (*grain).clone(),
            landed,
            result,
        });
    }
    heads.end()?;
    Ok(appended)
}

/// Claims in one message.
pub(crate) async fn claim(link: &Link, claims: &[Claim]) -> Result<Vec<Result<Option<Head>>>> {
    let grains = claims.iter().map(|claim| &claim.grain);
    let request = proto::ClaimRequest {
        grains: Some(encode_grains(&mut Tables::default(), grains)),
        epochs: claims.iter().map(|claim| claim.epoch.get()).collect(),
        writers: claims.iter().map(|claim| claim.writer.get()).collect(),
    };
    let answer = link
        .call(
            Lost::Unknown,
            None,
            request,
            |mut client, request| async move { client.claim(request).await },
        )
        .await?;
    claimed(claims, answer).map_err(|malformed| Lost::Unknown.malformed(malformed))
}

fn claimed(
    claims: &[Claim],
    answer: proto::ClaimAnswer,
) -> Result<Vec<Result<Option<Head>>>, Malformed> {
    use proto::claim_answer::Outcome;
    if answer.outcomes.len() != claims.len() {
        return Err(Malformed("not one answer for each claim"));
    }
    let mut heads = HeadReader::new(answer.heads)?;
    let mut errors = answer.errors.into_iter();
    let mut results = Vec::with_capacity(claims.len());
    for (claim, outcome) in claims.iter().zip(answer.outcomes) {
        results.push(match Outcome::try_from(outcome) {
            Ok(Outcome::Empty) => Ok(None),
            Ok(Outcome::Head) => Ok(Some(heads.next()?)),
            Ok(Outcome::Refused) => {
                let error = errors.next().ok_or(Malformed("a reason is missing"))?;
                Err(decode_error(error, Some(&claim.grain))?)
            }
            Err(_) => return Err(Malformed("an unknown outcome")),
        });
    }
    heads.end()?;
    Ok(results)
}
