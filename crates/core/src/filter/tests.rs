use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};

use proptest::prelude::*;

use super::*;

fn grain(grain_type: &str, grain_key: &str) -> GrainId {
    GrainId::new(grain_type, grain_key).unwrap()
}

#[test]
fn each_part_must_hold() {
    let plane = grain("aircraft", "N14228");
    let slice = Slice::of(&plane).get();
    let rule = Filter::grain_type("aircraft")
        .key_prefix("N1")
        .slices([slice]);
    assert!(rule.includes(&plane));
    for other in [
        Filter::grain_type("Aircraft")
            .key_prefix("N1")
            .slices([slice]),
        rule.clone().key_prefix("N2"),
        rule.clone().slices([slice ^ 1]),
    ] {
        assert!(!other.includes(&plane), "{other}");
    }
}

#[test]
fn a_prefix_is_compared_as_bytes_and_stands_alone() {
    let any = Filter::all().key_prefix("a");
    for (grain_type, key, within) in [
        ("t", "a", true),
        ("u", "ab", true),
        ("t", "A", false),
        ("t", "ba", false),
        ("a", "b", false),
    ] {
        assert_eq!(any.includes(&grain(grain_type, key)), within, "{key}");
    }
    // Composed and decomposed are different bytes.
    assert!(
        !Filter::all()
            .key_prefix("e")
            .includes(&grain("t", "\u{e9}"))
    );
    assert!(Filter::all().key_prefix("\0").includes(&grain("t", "\0x")));
    let longest = "k".repeat(GrainId::MAX_PART);
    let whole = Filter::all().key_prefix(longest.as_str());
    assert!(whole.includes(&grain("t", &longest)));
    let longer = Filter::all().key_prefix(longest.clone() + "k");
    assert!(!longer.includes(&grain("t", &longest)));
    assert_eq!(longer.first(), None);
}

#[test]
fn parts_that_let_all_pass_are_none() {
    assert_eq!(Filter::all().key_prefix(""), Filter::all());
    assert_eq!(Filter::all().key_prefix("a").key_prefix(""), Filter::all());
    assert_eq!(Filter::all().slices(0..2000), Filter::all());
    assert_eq!(Filter::all().share(0, 1), Ok(Filter::all()));
    assert_eq!(Filter::all().slices(1024..2000).first(), None);
    assert_eq!(Filter::all().only_prefix(), None);
    assert_eq!(Filter::all().only_slices(), None);
}

#[test]
fn equal_rules_are_equal_wherever_they_were_made() {
    let hash = |filter: &Filter| {
        let mut hasher = DefaultHasher::new();
        filter.hash(&mut hasher);
        hasher.finish()
    };
    let made = || Filter::grain_type("t").key_prefix("k").slices(3..9);
    assert_eq!(made(), made());
    assert_eq!(hash(&made()), hash(&made()));
    assert_ne!(made(), made().slices(3..10));
    assert_ne!(made(), made().key_prefix("l"));
    let clone = made();
    let again = clone.clone();
    // A clone shares its slices.
    assert!(std::ptr::eq(
        clone.only_slices().unwrap(),
        again.only_slices().unwrap()
    ));
}

#[test]
fn covers_is_about_grains_and_not_about_words() {
    let planes = Filter::grain_type("aircraft");
    let some = planes.clone().key_prefix("N1");
    let few = some.clone().key_prefix("N14").slices(0..10);
    for (wide, narrow) in [
        (&planes, &some),
        (&some, &few),
        (&planes, &few),
        (&Filter::all(), &few),
        (&Filter::all().key_prefix("N"), &few),
        (&Filter::all().slices(0..11), &few),
    ] {
        assert!(wide.covers(narrow), "{wide} covers {narrow}");
        assert!(!narrow.covers(wide), "{narrow} covers {wide}");
    }
    // Overlapping, and neither wider.
    for (one, other) in [
        (
            Filter::grain_type("aircraft"),
            Filter::all().key_prefix("N"),
        ),
        (Filter::all().slices(0..10), Filter::all().slices(9..20)),
        (Filter::all().slices(0..10), Filter::all().key_prefix("N")),
    ] {
        assert!(!one.covers(&other) && !other.covers(&one), "{one} {other}");
    }
    // What includes nothing is covered by everything.
    for nothing in [
        Filter::grain_type(""),
        Filter::all().slices([]),
        Filter::all().key_prefix("x".repeat(513)),
    ] {
        assert!(few.covers(&nothing) && !nothing.covers(&few), "{nothing}");
        assert!(nothing.covers(&nothing), "{nothing}");
    }
}

#[test]
fn shares_that_there_are_not_are_refused() {
    for (index, of) in [(0, 0), (4, 4), (5, 4), (0, 1025), (u16::MAX, u16::MAX)] {
        assert!(Filter::all().share(index, of).is_err(), "{index} of {of}");
    }
    let error = Filter::all().share(4, 4).unwrap_err();
    assert_eq!(
        error.to_string(),
        "there is no share 4 of 4: at most 1024 shares, counted from 0"
    );
}

#[test]
fn every_number_of_shares_is_a_partition_as_equal_as_can_be() {
    for of in (1..=64).chain([100, 333, 512, 1000, 1023, 1024]) {
        let mut named = Vec::new();
        for index in 0..of {
            let share = Filter::all().share(index, of).unwrap();
            let numbers: Vec<u16> = match share.only_slices() {
                Some(set) => set.iter().collect(),
                None => (0..Slice::COUNT).collect(),
            };
            let least = usize::from(Slice::COUNT / of);
            assert!((least..=least + 1).contains(&numbers.len()), "{of}");
            named.extend(numbers);
        }
        assert!(named.into_iter().eq(0..Slice::COUNT), "{of} shares");
    }
}

#[test]
fn it_is_shown_short() {
    let planes = Filter::grain_type("aircraft");
    for (filter, shown) in [
        (Filter::all(), "all grains"),
        (planes.clone(), "aircraft"),
        (planes.clone().key_prefix("N\""), "aircraft \"N\\\"\".."),
        (Filter::all().key_prefix("N"), "all grains \"N\".."),
        (
            planes.key_prefix("N").share(1, 4).unwrap(),
            "aircraft \"N\".. in slices 256-511",
        ),
    ] {
        assert_eq!(filter.to_string(), shown);
        assert_eq!(format!("{filter:?}"), format!("Filter({shown})"));
    }
}

/// Few letters, so that prefixes meet keys.
fn part() -> impl Strategy<Value = String> {
    "[aé\0]{1,3}"
}

fn slices() -> impl Strategy<Value = Vec<u16>> {
    let range = (0_u16..1100, 0_u16..1100).prop_map(|(from, many)| (from..from + many).collect());
    let few = prop::collection::vec(0_u16..1100, 0..40);
    prop_oneof![range, few]
}

fn filter() -> impl Strategy<Value = Filter> {
    let parts = (
        prop::option::of(part()),
        prop::option::of("[aé\0]{0,2}"),
        prop::option::of(slices()),
    );
    parts.prop_map(|(name, prefix, slices)| {
        let mut filter = name.map_or_else(Filter::all, Filter::grain_type);
        if let Some(prefix) = prefix {
            filter = filter.key_prefix(prefix);
        }
        match slices {
            Some(slices) => filter.slices(slices),
            None => filter,
        }
    })
}

/// The same with parts left out or made shorter: mostly wider.
fn related() -> impl Strategy<Value = (Filter, Filter)> {
    let wider = (filter(), any::<[bool; 3]>()).prop_map(|(narrow, keep)| {
        let mut wide = match narrow.only_type().filter(|_| keep[0]) {
            Some(name) => Filter::grain_type(name),
            None => Filter::all(),
        };
        if let Some(prefix) = narrow.only_prefix().filter(|_| keep[1]) {
            wide = wide.key_prefix(prefix.chars().take(1).collect::<String>());
        }
        if let Some(set) = narrow.only_slices().filter(|_| keep[2]) {
            wide = wide.slices(set.iter().chain([7]));
        }
        (wide, narrow)
    });
    prop_oneof![wider, (filter(), filter())]
}

fn grains() -> impl Strategy<Value = Vec<GrainId>> {
    let grain = (part(), "[aé\0]{1,3}[a-z]{0,2}").prop_map(|(name, key)| grain(&name, &key));
    prop::collection::vec(grain, 1..60)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// By the words of the three parts, each computed from bytes.
    #[test]
    fn includes_is_the_three_parts(
        name in prop::option::of(part()),
        prefix in "[aé\0]{0,2}",
        numbers in prop::option::of(slices()),
        grains in grains(),
    ) {
        let mut filter = name.as_deref().map_or_else(Filter::all, Filter::grain_type);
        filter = filter.key_prefix(prefix.as_str());
        if let Some(numbers) = &numbers {
            filter = filter.slices(numbers.iter().copied());
        }
        for grain in &grains {
            let (of_type, key) = (grain.grain_type().as_bytes(), grain.grain_key().as_bytes());
            let meant = name.as_ref().is_none_or(|name| name.as_bytes() == of_type)
                && key.get(..prefix.len()) == Some(prefix.as_bytes())
                && numbers.as_ref().is_none_or(|numbers| numbers.contains(&Slice::of(grain).get()));
            prop_assert_eq!(filter.includes(grain), meant, "{} {}", filter, grain);
        }
    }

    /// F3: what is covered holds no grain that the other does not.
    #[test]
    fn what_is_covered_is_included((wide, narrow) in related(), grains in grains()) {
        prop_assert!(wide.covers(&wide) && Filter::all().covers(&wide));
        if wide.covers(&narrow) {
            for grain in &grains {
                prop_assert!(!narrow.includes(grain) || wide.includes(grain), "{wide} {narrow} {grain}");
            }
        }
        // Both ways: the same grains, in the same words unless there are none.
        if wide.covers(&narrow) && narrow.covers(&wide) {
            prop_assert!(wide == narrow || narrow.first().is_none());
        }
    }

    /// What is not covered shows it somewhere: a grain of the other that this one does not have.
    #[test]
    fn what_is_not_covered_leaves_a_grain_out((wide, narrow) in related()) {
        let holds = |grain: &GrainId| narrow.includes(grain) && !wide.includes(grain);
        // Enough keys to meet every slice, beginning with the prefix and with all others.
        let name = narrow.only_type().unwrap_or("zz");
        let prefix = narrow.only_prefix().unwrap_or("zz");
        let mut keys = (0..40_000).map(|at| grain(name, &format!("{prefix}{at}")));
        prop_assert_eq!(keys.any(|grain| holds(&grain)), !wide.covers(&narrow), "{} {}", wide, narrow);
    }

    /// A scan from `first` to the first that is past sees every grain of the filter.
    #[test]
    fn scans_leave_out_none(filter in filter(), mut grains in grains()) {
        grains.sort();
        let wanted: Vec<&GrainId> = grains.iter().filter(|grain| filter.includes(grain)).collect();
        let first = filter.first();
        let seen: Vec<&GrainId> = grains
            .iter()
            .skip_while(|grain| first.as_ref().is_none_or(|first| *grain < first))
            .take_while(|grain| !filter.is_past(grain))
            .filter(|grain| filter.includes(grain))
            .collect();
        prop_assert_eq!(seen, wanted);
    }

    /// The shares of any number of followers name every grain exactly once.
    #[test]
    fn shares_are_a_partition(rule in filter(), of in 1_u16..=1024, grains in grains()) {
        let rule = rule.slices(0..1024);
        let shares: Vec<Filter> = (0..of)
            .map(|index| rule.clone().share(index, of).unwrap())
            .collect();
        for grain in &grains {
            let owners = shares.iter().filter(|share| share.includes(grain)).count();
            prop_assert_eq!(owners, usize::from(rule.includes(grain)));
        }
    }
}
