//! [`Rules`] and [`Scope`]: which grains are meant, as repeatable options.

use clap::{Arg, ArgAction, ArgGroup, ArgMatches, Args, Command, FromArgMatches};
use gleaner::{Filter, GrainId};

const TYPE: &str = "type";
const PREFIX: &str = "key-prefix";

/// `[--type T [--key-prefix P]...]...`: sets of grains. Each prefix narrows the type that it follows;
/// several widen it again, to those that begin with any of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Rules(pub(crate) Vec<Rule>);

/// The grains of a type, or those of them whose key begins so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rule {
    pub(crate) grain_type: String,
    pub(crate) key_prefix: Option<String>,
}

impl Rule {
    pub(crate) fn filter(&self) -> Filter {
        let filter = Filter::grain_type(&*self.grain_type);
        match &self.key_prefix {
            Some(prefix) => filter.key_prefix(&**prefix),
            None => filter,
        }
    }
}

/// `(--all | --type T [--key-prefix P] | --grain T K)...`: which grains to follow.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Scope {
    pub(crate) filters: Vec<Filter>,
    pub(crate) grains: Vec<GrainId>,
}

impl FromArgMatches for Rules {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let types = placed(matches, TYPE);
        let mut rules: Vec<(usize, Rule)> = Vec::new();
        let mut prefixes = placed(matches, PREFIX).into_iter().peekable();
        for (at, (place, grain_type)) in types.iter().enumerate() {
            let next = types.get(at + 1).map_or(usize::MAX, |(place, _)| *place);
            let mut bare = true;
            while let Some((_, prefix)) = prefixes.next_if(|(at, _)| (*place..next).contains(at)) {
                bare = false;
                let rule = Rule {
                    grain_type: grain_type.clone(),
                    key_prefix: Some(prefix),
                };
                rules.push((*place, rule));
            }
            if bare {
                let rule = Rule {
                    grain_type: grain_type.clone(),
                    key_prefix: None,
                };
                rules.push((*place, rule));
            }
        }
        if let Some((_, prefix)) = prefixes.next() {
            return Err(wrong(format!(
                "--key-prefix {prefix:?} must follow the --type that it narrows"
            )));
        }
        Ok(Self(rules.into_iter().map(|(_, rule)| rule).collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Args for Rules {
    fn augment_args(command: Command) -> Command {
        command
            .arg(
                Arg::new(TYPE)
                    .long(TYPE)
                    .value_name("TYPE")
                    .action(ArgAction::Append)
                    .help("The grains of this type; may be given several times"),
            )
            .arg(
                Arg::new(PREFIX)
                    .long(PREFIX)
                    .value_name("PREFIX")
                    .action(ArgAction::Append)
                    .help("Of the --type before it, those whose key begins so"),
            )
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Scope {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut scope = Self::default();
        if matches.get_flag("all") {
            scope.filters.push(Filter::all());
        }
        let rules = Rules::from_arg_matches(matches)?;
        scope.filters.extend(rules.0.iter().map(Rule::filter));
        let pairs = matches.get_occurrences::<String>("grain");
        for mut pair in pairs.into_iter().flatten() {
            let (Some(name), Some(key)) = (pair.next(), pair.next()) else {
                return Err(wrong("--grain takes a type and a key".to_owned()));
            };
            let grain = GrainId::new(name, key).map_err(|error| wrong(error.to_string()))?;
            scope.grains.push(grain);
        }
        Ok(scope)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Args for Scope {
    fn augment_args(command: Command) -> Command {
        let command = command.arg(
            Arg::new("all")
                .long("all")
                .action(ArgAction::SetTrue)
                .help("Every grain"),
        );
        Rules::augment_args(command)
            .arg(
                Arg::new("grain")
                    .long("grain")
                    .num_args(2)
                    .value_names(["TYPE", "KEY"])
                    .action(ArgAction::Append)
                    // Always two, so that a key that begins with a hyphen is one.
                    .allow_hyphen_values(true)
                    .help("One grain, whether the log knows it yet or not; may be given several times"),
            )
            .group(
                ArgGroup::new("grains")
                    .args(["all", TYPE, "grain"])
                    .required(true)
                    .multiple(true),
            )
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

/// An option's values, each with its place on the command line.
fn placed(matches: &ArgMatches, option: &str) -> Vec<(usize, String)> {
    let values = matches.get_many::<String>(option).into_iter().flatten();
    let places = matches.indices_of(option).into_iter().flatten();
    places.zip(values.cloned()).collect()
}

fn wrong(message: String) -> clap::Error {
    clap::Error::raw(clap::error::ErrorKind::ValueValidation, message + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse<T: Args>(line: &str) -> Result<T, clap::Error> {
        let command = T::augment_args(Command::new("test").no_binary_name(true));
        T::from_arg_matches(&command.try_get_matches_from(line.split(' '))?)
    }

    #[test]
    fn a_prefix_narrows_the_type_before_it() {
        let rules: Rules = parse(
            "--type a --type b --key-prefix x --key-prefix y --type c --type b --key-prefix z",
        )
        .unwrap();
        let said: Vec<_> = rules
            .0
            .iter()
            .map(|rule| (&*rule.grain_type, rule.key_prefix.as_deref()))
            .collect();
        let expected = [
            ("a", None),
            ("b", Some("x")),
            ("b", Some("y")),
            ("c", None),
            ("b", Some("z")),
        ];
        assert_eq!(said, expected);
        assert!(parse::<Rules>("--key-prefix x --type a").is_err());
    }

    #[test]
    fn all_types_and_grains_may_be_mixed() {
        let scope: Scope =
            parse("--grain a 1 --type b --key-prefix x --grain c --2 --all").unwrap();
        let id = |name, key| GrainId::new(name, key).unwrap();
        assert_eq!(scope.grains, [id("a", "1"), id("c", "--2")]);
        let filters = [Filter::all(), Filter::grain_type("b").key_prefix("x")];
        assert_eq!(scope.filters, filters);
        assert!(parse::<Scope>("--grain a").is_err());
        assert!(
            parse::<Scope>("--key-prefix a").is_err(),
            "nothing to follow"
        );
    }
}
