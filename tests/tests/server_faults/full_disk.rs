//! A disk without room under the server.

use gleaner::ErrorKind;
use gleaner_servers::or_skip;

use crate::chance::Chance;
use crate::kind::Kind;
use crate::place::{SmallDisk, until};
use crate::probe::Probe;
use crate::world::{LOAD, PATIENCE, World};

pub(crate) fn full_and_freed<K: Kind>() {
    use std::os::unix::fs::PermissionsExt;

    // Where the server's user may go.
    let folder = tempfile::tempdir().unwrap();
    let open = std::fs::Permissions::from_mode(0o711);
    std::fs::set_permissions(folder.path(), open).unwrap();
    let disk = match SmallDisk::mount(folder.path(), "disk", K::SMALL_DISK) {
        Ok(disk) => disk,
        Err(why) => {
            println!("skipped: no privilege: no small disk can be mounted: {why}");
            return;
        }
    };
    let Some(server) = or_skip(K::start_on(disk.path())) else {
        return;
    };
    let mut chance = Chance::new();
    let mut world = World::running(server);
    world.start_second_follower();
    let mut probe = world.probe("probe-0", PATIENCE);
    chance.pause(200_000);

    let before = world.publisher(LOAD).complaints().len();
    disk.fill();
    world.tally.add("full_disks", 1);
    fails_typed(&mut probe);
    until("the publisher meets it", || {
        let complaints = world.publisher(LOAD).complaints();
        complaints[before..].contains("the log takes no entries")
    });
    // It lasts a little, or goes on to its worst.
    if chance.below(2) == 0 {
        K::press(&world.server);
        fails_typed(&mut probe);
    }
    chance.pause(300_000);
    disk.free();

    // A server may end itself for want of room; then its operator begins it again.
    until("an append succeeds", || {
        if !world.server.is_running() {
            println!("the server has ended itself");
            world.server.kill();
            world.server.restart();
            world.tally.add("ended_themselves", 1);
        }
        probe.append().is_ok()
    });
    world.goes_on();
    world.close(vec![probe]);
}

fn fails_typed(probe: &mut Probe) {
    let error = probe.fails();
    println!("met: {error}");
    let kinds = [ErrorKind::Transient, ErrorKind::Unknown];
    assert!(kinds.contains(&error.kind()), "{error}");
}
