//! [`Sources`]: the text files of the workspace.

use std::fs;
use std::path::Path;

/// A file's path relative to the root, with forward slashes, and its text.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    pub(crate) path: String,
    pub(crate) text: String,
}

/// All Rust and Markdown files under the folders that hold ours.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sources(Vec<Source>);

impl Sources {
    const FOLDERS: [&str; 6] = ["crates", "examples", "benches", "tests", "docs", "xtask"];

    /// Reads them. Hidden folders and `target` are left out; so are files that are no UTF-8, which
    /// rustc would refuse.
    ///
    /// # Errors
    /// If a folder or file cannot be read.
    pub(crate) fn load(root: &Path) -> Result<Self, String> {
        let mut sources = Self::default();
        for folder in Self::FOLDERS {
            let path = root.join(folder);
            if path.is_dir() {
                sources.walk(root, &path)?;
            }
        }
        for file in ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"] {
            let path = root.join(file);
            if path.is_file() {
                sources.read(root, &path)?;
            }
        }
        sources.0.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(sources)
    }

    /// Files of one extension whose path begins with a folder.
    pub(crate) fn under<'a>(
        &'a self,
        folder: &'a str,
        extension: &'a str,
    ) -> impl Iterator<Item = &'a Source> {
        self.0.iter().filter(move |source| {
            source.path.starts_with(folder)
                && Path::new(&source.path).extension() == Some(extension.as_ref())
        })
    }

    fn walk(&mut self, root: &Path, folder: &Path) -> Result<(), String> {
        let entries = fs::read_dir(folder)
            .map_err(|error| format!("cannot list {}: {error}", folder.display()))?;
        for entry in entries {
            let entry = entry.map_err(|error| error.to_string())?;
            let name = entry.file_name();
            let hidden = name.to_string_lossy().starts_with('.') || name == "target";
            let kind = entry.file_type().map_err(|error| error.to_string())?;
            let path = entry.path();
            if kind.is_dir() && !hidden {
                self.walk(root, &path)?;
            } else if kind.is_file()
                && path
                    .extension()
                    .is_some_and(|end| end == "rs" || end == "md")
            {
                self.read(root, &path)?;
            }
        }
        Ok(())
    }

    fn read(&mut self, root: &Path, path: &Path) -> Result<(), String> {
        let bytes =
            fs::read(path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
        let relative = path.strip_prefix(root).unwrap_or(path);
        self.0.push(Source {
            path: relative.to_string_lossy().replace('\\', "/"),
            text: String::from_utf8_lossy(&bytes).into_owned(),
        });
        Ok(())
    }
}

#[cfg(test)]
impl Sources {
    /// Sources from a test's own text.
    pub(crate) fn of(files: &[(&str, &str)]) -> Self {
        let source = |(path, text): &(&str, &str)| Source {
            path: (*path).to_owned(),
            text: (*text).to_owned(),
        };
        Self(files.iter().map(source).collect())
    }
}
