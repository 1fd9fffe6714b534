//! [`redacted`]: what of a URL may be shown.

/// What may be shown of a URL of a log or store: where it leads, and no secret.
///
/// What stands before an `@`, and what stands in the query, is left out, whatever it is. A URL of which
/// it is not clear what is what, a secret with an `@` or `?` in it perhaps, loses all but its scheme.
/// Paths of `sqlite:` are shown whole: no secret stands in one.
///
/// ```
/// let url = "postgres://gleaner:secret@db.example:5432/app?sslrootcert=ca.pem";
/// assert_eq!(gleaner::redacted(url), "postgres://...@db.example:5432/app?...");
/// assert_eq!(gleaner::redacted("sqlite:grains.db"), "sqlite:grains.db");
/// ```
pub fn redacted(url: &str) -> String {
    match url.split_once(':') {
        Some(("memory" | "sqlite", _)) => url.to_owned(),
        Some((scheme, rest)) if is_scheme(scheme) => {
            let shown = rest.strip_prefix("//").and_then(place);
            format!("{scheme}:{}", shown.as_deref().unwrap_or("..."))
        }
        // A mistyped path, most likely; or a URL without its scheme.
        _ if url.contains(['@', '?', '=']) => "...".to_owned(),
        _ => url.to_owned(),
    }
}

/// Whether this is how schemes are spelled.
pub(crate) fn is_scheme(name: &str) -> bool {
    let mut letters = name.chars();
    letters
        .next()
        .is_some_and(|first| first.is_ascii_alphabetic())
        && letters.all(|letter| letter.is_ascii_alphanumeric() || "+-.".contains(letter))
}

/// What may be shown of what follows `scheme://`.
fn place(rest: &str) -> Option<String> {
    let (place, query) = match rest.split_once('?') {
        Some((place, query)) => (place, Some(query)),
        None => (rest, None),
    };
    // Then it is not known where the secret ends.
    if query.is_some_and(|query| query.contains('@')) {
        return None;
    }
    let (user, place) = match place.rsplit_once('@') {
        Some((_, place)) => ("...@", place),
        None => ("", place),
    };
    let hosts = place.split_once('/').map_or(place, |(hosts, _)| hosts);
    // A port that is none may be the password of a URL that lacks its host.
    let are_hosts = hosts.split(',').all(|host| {
        let behind = host.rsplit_once(']').map_or(host, |(_, behind)| behind);
        let port = behind.split_once(':').map_or("", |(_, port)| port);
        port.chars().all(|letter| letter.is_ascii_digit())
    });
    let query = if query.is_some() { "?..." } else { "" };
    are_hosts.then(|| format!("//{user}{place}{query}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_it_leads_is_shown() {
        for (url, shown) in [
            ("memory:", "memory:"),
            ("sqlite:a@b?c=d.db", "sqlite:a@b?c=d.db"),
            ("grains.db", "grains.db"),
            ("grpc://h:1", "grpc://h:1"),
            ("grpcs://[::1]:7431?ca=ca.pem", "grpcs://[::1]:7431?..."),
            (
                "postgres://u:p@one:1,two:2/app",
                "postgres://...@one:1,two:2/app",
            ),
            (
                "postgresql://u@h/app?schema=x",
                "postgresql://...@h/app?...",
            ),
        ] {
            assert_eq!(redacted(url), shown);
        }
    }

    #[test]
    fn no_secret_is_shown_wherever_it_was_put() {
        for url in [
            "postgres://u:hush@h/app",
            "postgres://hush@h/app",
            "postgres://u:x@hush@h/app",
            "postgres://u:x?hush@h/app",
            "postgres://u:x@hush?y@h/app",
            "postgres://u:x/hush@h/app",
            "postgres://u:x#hush@h/app",
            "postgres://h/app?password=hush",
            "postgres://u@h/app?password=x@hush",
            "postgres://u:hush",
            "postgres://u:hush/app",
            "postgres://h:1,u:hush/app",
            "postgres://[::1]:hush/app",
            "postgres:u:hush@h",
            "postgres:/u:hush@h",
            "tape://u:hush@h",
            "//u:hush@h/app",
            "u@h?password=hush",
            "password=hush",
            "hush@h:1/app",
            "db?password=hush:x",
        ] {
            let shown = redacted(url);
            assert!(!shown.contains("hush"), "{url} is shown as {shown}");
        }
    }
}
