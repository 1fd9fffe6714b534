//! L12: limits are exact.

use bytes::Bytes;
use gleaner_core::{Entry, ErrorKind, ReplicationLog};

use crate::pen::{Pen, grain, head_of};
use crate::sight::{answer, append_all, head, history, refused};
use crate::verdict::{ensure, ensure_eq, ensure_matches};
use crate::{LogFactory, Verdict};

/// Limits too large to be tried are a reason to fail, not to pass.
pub(super) fn triable<F: LogFactory>(_: &F, log: &F::Log) -> Verdict {
    let limits = log.limits();
    ensure!(
        limits.max_payload() <= F::MAX_TRIED_PAYLOAD
            && limits.max_batch_entries() <= F::MAX_TRIED_BATCH,
        "{limits:?} are too large to be tried: open the log with smaller limits"
    );
    Ok(())
}

/// A payload of the limit is taken and comes back; one byte more is `Invalid`.
pub(crate) async fn l12_the_largest_payload_is_exact(factory: &impl LogFactory) -> Verdict {
    let (_guard, log) = factory.open().await;
    triable(factory, &log)?;
    let limit = log.limits().max_payload();
    ensure!(limit > 0, "a log that takes no payload");
    let grain = grain("plane", "largest")?;
    let mut pen = Pen::new(&grain);
    let over = Bytes::from(vec![b'x'; limit + 1]);
    ensure_matches!(
        refused(&log, &pen.clone().full(over.clone())).await?,
        ErrorKind::Invalid,
        "a payload of {limit} + 1 bytes"
    );
    append_all(&log, &[pen.full(over.slice(..limit))]).await?;
    let entries = history(&log, &grain).await?;
    ensure!(
        entries.len() == 1
            && entries
                .iter()
                .all(|entry| *entry.payload() == over.slice(..limit)),
        "the largest payload came back changed"
    );
    Ok(())
}

/// A batch of the limit is taken whole.
pub(crate) async fn l12_the_largest_batch_is_taken(factory: &impl LogFactory) -> Verdict {
    let (_guard, log) = factory.open().await;
    triable(factory, &log)?;
    let grain = grain("plane", "batch")?;
    let mut pen = Pen::new(&grain);
    let batch: Vec<Entry> = (0..log.limits().max_batch_entries())
        .map(|_| pen.full("x"))
        .collect();
    let answers = log.append_batch(&batch).await?;
    let answer = answer(&answers, &grain)?;
    ensure_eq!(answer.landed, batch.len(), "landed of the largest batch");
    ensure_eq!(head(&log, &grain).await?, head_of(&batch), "the head");
    Ok(())
}

/// One grain's payload over the limit refuses that grain, not the batch.
pub(crate) async fn l12_an_oversized_entry_is_its_grains_own(factory: &impl LogFactory) -> Verdict {
    let (_guard, log) = factory.open().await;
    triable(factory, &log)?;
    let (small, large) = (grain("plane", "small")?, grain("plane", "large")?);
    let payload = Bytes::from(vec![b'x'; log.limits().max_payload() + 1]);
    if payload.len() + 2 > log.limits().max_batch_bytes() {
        // The batch itself would be over its limit, which is another promise (L3).
        return Ok(());
    }
    let mut pen = Pen::new(&large);
    let mut batch = pen.write("F");
    batch.push(pen.full(payload));
    batch.extend(Pen::new(&small).write("FD"));
    let answers = log.append_batch(&batch).await?;
    let refused = answer(&answers, &large)?;
    ensure_matches!(
        refused.result.as_ref().map_err(gleaner_core::Error::kind),
        Err(ErrorKind::Invalid),
        "an oversized entry"
    );
    ensure_eq!(refused.landed, 1, "landed before an oversized entry");
    ensure_eq!(
        answer(&answers, &small)?.landed,
        2,
        "landed of its neighbour"
    );
    Ok(())
}
