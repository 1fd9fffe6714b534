//! What the log is told: of a bad file once, of nobody's secret or hash ever.

use std::error::Error;
use std::fmt::{Debug, Write as _};
use std::os::unix::fs::PermissionsExt;
use std::sync::OnceLock;

use parking_lot::Mutex;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Dispatch, Event, Metadata, Subscriber};

use super::*;

/// The lines said on this thread.
#[derive(Clone, Default)]
struct Said(Arc<Mutex<Vec<String>>>);

impl Said {
    fn catch() -> (Self, tracing::subscriber::DefaultGuard) {
        // With one subscriber alone, a line first said on another test's thread is held to be wanted
        // by nobody; with a second one that stays, all are asked each time.
        static SECOND: OnceLock<Dispatch> = OnceLock::new();
        SECOND.get_or_init(|| Dispatch::new(Self::default()));
        let said = Self::default();
        let guard = tracing::subscriber::set_default(said.clone());
        (said, guard)
    }

    /// The lines since the last time, each with its level.
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock())
    }
}

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let _ = write!(self.0, " {field}={value:?}");
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        let _ = write!(self.0, " {field}={value} {value:?}");
    }
}

impl Subscriber for Said {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("gleaner_grpc")
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = Line(event.metadata().level().to_string());
        event.record(&mut line);
        self.0.lock().push(line.0);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[tokio::test(start_paused = true)]
async fn a_bad_file_is_said_once_and_a_good_one_again() {
    let (said, _guard) = Said::catch();
    let secret = Secret::draw().unwrap();
    let good = line(&secret, "reader");
    let place = Place::new(std::slice::from_ref(&good));
    fs::set_permissions(place.path(), fs::Permissions::from_mode(0o600)).unwrap();
    let access = place.open();
    let asked = async |times| {
        for _ in 0..times {
            tokio::time::advance(Duration::from_secs(1)).await;
            assert!(admitted(&access, &secret).is_ok());
        }
        said.take()
    };
    assert_eq!(asked(3).await, Vec::<String>::new());

    let stolen = good.replace("\"rights\"", "\"sha256\"");
    place.write(&[good.clone(), stolen]);
    let lines = asked(5).await;
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].starts_with("ERROR"), "{lines:?}");
    assert!(
        lines[0].contains("tokens") && lines[0].contains("line 2"),
        "{lines:?}"
    );
    let hash = TokenHash::of(secret.expose().as_bytes()).hex();
    assert!(!lines[0].contains(&hash) && !lines[0].contains(secret.expose()));

    // Another fault is another line.
    place.write(&["{".to_owned()]);
    assert_eq!(asked(5).await.len(), 1);
    place.write(std::slice::from_ref(&good));
    let lines = asked(5).await;
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].starts_with("INFO"), "{lines:?}");
}

#[test]
fn a_file_that_others_may_read_is_said() {
    let (said, _guard) = Said::catch();
    let secret = Secret::draw().unwrap();
    let place = Place::new(&[line(&secret, "reader")]);
    let own = place.folder.path().join("own");
    fs::write(&own, secret.expose()).unwrap();
    for (mode, lines) in [(0o600, 0), (0o640, 1), (0o604, 1), (0o400, 0)] {
        for path in [&place.path(), &own] {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        }
        assert!(Access::file(place.path()).is_ok());
        assert_eq!(said.take().len(), lines, "{mode:o}");
        assert!(Secret::from_file(&own).is_ok());
        assert_eq!(said.take().len(), lines, "{mode:o}");
    }
}

#[test]
fn a_file_without_a_token_is_said() {
    let (said, _guard) = Said::catch();
    let place = Place::new(&["# nobody".to_owned()]);
    fs::set_permissions(place.path(), fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(place.open().admit(Some("guess")), Err(Refused::Unknown));
    let lines = said.take();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].starts_with("WARN"), "{lines:?}");
}
