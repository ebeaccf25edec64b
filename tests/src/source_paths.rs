//! The paths that Rust sources use, resolved to modules: by `use` in all its forms, in code, in macros' tokens and
//! in attributes' strings. Code under `#[cfg(test)]` is left out.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use proc_macro2::{TokenStream, TokenTree};
use syn::ext::IdentExt;
use syn::visit::{self, Visit};

/// One use of a path.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Use {
    /// The module that uses it, from the crate's root on; the root is empty.
    pub module: String,
    /// What it uses: from the crate's root on if it `is_ours`, else from another crate's name on.
    pub path: String,
    /// Whether the path is in the same crate.
    pub is_ours: bool,
    /// Whether all names of the path are imported (`use path::*`).
    pub is_glob: bool,
    /// Whether the path leads through a re-export of another file, which is a use of its own there.
    pub is_reexported: bool,
}

/// The modules of one crate.
#[derive(Debug, Default)]
pub struct Modules {
    sources: Vec<(String, syn::File)>,
    names: BTreeSet<String>,
}

impl Modules {
    /// The modules in the files below `folder`, a crate's `src`. Files of tests are left out.
    ///
    /// # Panics
    ///
    /// When a file cannot be read or parsed, or chooses its modules' files itself (`#[path]`, `include!`).
    #[must_use]
    pub fn read(folder: &Path) -> Self {
        let mut modules = Self::default();
        modules.read_folder(folder, "");
        modules
    }

    fn read_folder(&mut self, folder: &Path, parent: &str) {
        for entry in fs::read_dir(folder).expect("a source folder") {
            let path = entry.expect("a folder entry").path();
            let stem = path.file_stem().expect("a name").to_string_lossy().into_owned();
            let module = match stem.as_str() {
                "lib" => parent.to_owned(),
                name => join(parent, name),
            };
            if path.is_dir() {
                self.read_folder(&path, &module);
            } else if path.extension().is_some_and(|extension| extension == "rs")
                && !["tests", "fake", "test_support", "private_bus"].contains(&stem.as_str())
            {
                let text = fs::read_to_string(&path).expect("a source file");
                let names = path.display();
                assert!(!text.contains("#[path"), "{names} chooses a module's file");
                assert!(!text.contains("include!("), "{names} includes a file");
                self.add(module, &text);
            }
        }
    }

    /// Modules of these texts, in a crate that also has the modules `known`.
    #[must_use]
    pub fn of(texts: &[(&str, &str)], known: &[&str]) -> Self {
        let mut modules = Self::default();
        modules.names.extend(known.iter().map(|&name| name.to_owned()));
        for (module, text) in texts {
            modules.add((*module).to_owned(), text);
        }
        modules
    }

    fn add(&mut self, module: String, text: &str) {
        let file = syn::parse_file(text).unwrap_or_else(|error| panic!("{module}: {error}"));
        self.names.insert(module.clone());
        self.sources.push((module, file));
    }

    /// All uses of paths that lead to another module or crate.
    #[must_use]
    pub fn uses(&self) -> Vec<Use> {
        let mut collector = Collector::default();
        for (module, file) in &self.sources {
            collector.module.clone_from(module);
            collector.file.clone_from(module);
            collector.visit_file(file);
        }
        self.resolve_all(&collector.paths).into_iter().collect()
    }

    fn resolve_all(&self, paths: &[Found]) -> BTreeSet<Use> {
        let mut found = BTreeSet::new();
        let mut names =
            Names { modules: &self.names, imported: BTreeMap::new(), globs: Vec::new() };
        // Imports may build on one another in any order: as often as a chain can be long.
        for _ in 0..4 {
            for path in paths.iter().filter(|path| path.import.is_some()) {
                names.import(path);
            }
        }
        for path in paths {
            let is_glob = matches!(path.import, Some(Import::Glob));
            for Target { is_ours, path: used, is_reexported } in names.resolve(path) {
                let module = path.module.clone();
                found.insert(Use { module, path: used, is_ours, is_glob, is_reexported });
            }
        }
        found
    }
}

/// A name without the `r#` of a raw identifier.
fn text(name: &syn::Ident) -> String {
    name.unraw().to_string()
}

fn join(parent: &str, name: &str) -> String {
    if parent.is_empty() { name.to_owned() } else { format!("{parent}::{name}") }
}

/// A path as it is written.
#[derive(Clone, Debug)]
struct Found {
    module: String,
    /// The module that its file is.
    file: String,
    segments: Vec<String>,
    import: Option<Import>,
}

/// What an import makes of its path.
#[derive(Clone, Debug)]
enum Import {
    Name(String),
    Glob,
}

/// Collects the paths of files, with the module they stand in.
#[derive(Default)]
struct Collector {
    module: String,
    file: String,
    paths: Vec<Found>,
}

impl Collector {
    fn add(&mut self, segments: Vec<String>, import: Option<Import>) {
        let (module, file) = (self.module.clone(), self.file.clone());
        self.paths.push(Found { module, file, segments, import });
    }

    fn add_tree(&mut self, prefix: &[String], tree: &syn::UseTree) {
        let with = |name: &syn::Ident| [prefix, &[text(name)]].concat();
        match tree {
            syn::UseTree::Path(path) => self.add_tree(&with(&path.ident), &path.tree),
            syn::UseTree::Name(name) => self.add_name(with(&name.ident), None),
            syn::UseTree::Rename(rename) => {
                self.add_name(with(&rename.ident), Some(text(&rename.rename)));
            }
            syn::UseTree::Glob(_) => self.add(prefix.to_vec(), Some(Import::Glob)),
            syn::UseTree::Group(group) => {
                for tree in &group.items {
                    self.add_tree(prefix, tree);
                }
            }
        }
    }

    /// An import of `segments`, whose last may be `self`.
    fn add_name(&mut self, mut segments: Vec<String>, rename: Option<String>) {
        if segments.len() > 1 && segments.last().is_some_and(|last| last == "self") {
            segments.pop();
        }
        let last = segments.last().cloned().unwrap_or_default();
        self.add(segments, Some(Import::Name(rename.unwrap_or(last))));
    }

    /// Paths in tokens that are not parsed: imports, and names joined by `::`.
    fn add_tokens(&mut self, tokens: TokenStream) {
        let mut segments: Vec<String> = Vec::new();
        let mut colons = 0;
        // The `$` of `$crate` and of a macro's parameters says nothing about a path.
        let tokens = tokens
            .into_iter()
            .filter(|token| !matches!(token, TokenTree::Punct(punct) if punct.as_char() == '$'));
        let tokens: Vec<_> = tokens.collect();
        for (at, token) in tokens.iter().enumerate() {
            match token {
                TokenTree::Punct(punct) if punct.as_char() == ':' => colons += 1,
                TokenTree::Ident(name) => {
                    if colons != 2 {
                        self.end_tokens(&mut segments);
                    }
                    if name == "use" || name == "extern" {
                        self.add_import(tokens.iter().skip(at));
                    }
                    segments.push(text(name));
                    colons = 0;
                }
                other => {
                    self.end_tokens(&mut segments);
                    colons = 0;
                    if let TokenTree::Group(group) = other {
                        self.add_tokens(group.stream());
                    }
                }
            }
        }
        self.end_tokens(&mut segments);
    }

    /// The import that `tokens` begin with, up to its semicolon.
    fn add_import<'a>(&mut self, tokens: impl Iterator<Item = &'a TokenTree>) {
        let mut import = TokenStream::new();
        for token in tokens {
            import.extend([token.clone()]);
            if matches!(token, TokenTree::Punct(punct) if punct.as_char() == ';') {
                break;
            }
        }
        if let Ok(item) = syn::parse2::<syn::Item>(import) {
            self.visit_item(&item);
        }
    }

    fn end_tokens(&mut self, segments: &mut Vec<String>) {
        let segments = std::mem::take(segments);
        if segments.len() > 1 {
            self.add(segments, None);
        }
    }

    /// Strings of an attribute that are paths, as serde's are.
    fn add_strings(&mut self, tokens: TokenStream) {
        for token in tokens {
            match token {
                TokenTree::Group(group) => self.add_strings(group.stream()),
                TokenTree::Literal(literal) => {
                    let text = literal.to_string();
                    if let Ok(path) = syn::parse_str::<syn::Path>(text.trim_matches('"')) {
                        self.visit_path(&path);
                    }
                }
                _ => {}
            }
        }
    }
}

fn is_test(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let is_cfg = attribute.path().is_ident("cfg");
        is_cfg && attribute.parse_args::<syn::Path>().is_ok_and(|path| path.is_ident("test"))
    })
}

fn attributes(item: &syn::Item) -> &[syn::Attribute] {
    match item {
        syn::Item::Const(item) => &item.attrs,
        syn::Item::Enum(item) => &item.attrs,
        syn::Item::ExternCrate(item) => &item.attrs,
        syn::Item::Fn(item) => &item.attrs,
        syn::Item::Impl(item) => &item.attrs,
        syn::Item::Macro(item) => &item.attrs,
        syn::Item::Mod(item) => &item.attrs,
        syn::Item::Static(item) => &item.attrs,
        syn::Item::Struct(item) => &item.attrs,
        syn::Item::Trait(item) => &item.attrs,
        syn::Item::Type(item) => &item.attrs,
        syn::Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

impl<'ast> Visit<'ast> for Collector {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        if !is_test(attributes(item)) {
            visit::visit_item(self, item);
        }
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        let module = join(&self.module, &text(&item.ident));
        let outer = std::mem::replace(&mut self.module, module);
        visit::visit_item_mod(self, item);
        self.module = outer;
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.add_tree(&[], &item.tree);
    }

    fn visit_item_extern_crate(&mut self, item: &'ast syn::ItemExternCrate) {
        let name = match text(&item.ident).as_str() {
            "self" => "crate".to_owned(),
            name => name.to_owned(),
        };
        let rename = item.rename.as_ref().map(|(_, rename)| text(rename));
        self.add_name(vec![name], rename);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let segments: Vec<_> = path.segments.iter().map(|part| text(&part.ident)).collect();
        if segments.len() > 1 {
            self.add(segments, None);
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, item: &'ast syn::Macro) {
        self.add_tokens(item.tokens.clone());
        visit::visit_macro(self, item);
    }

    fn visit_attribute(&mut self, attribute: &'ast syn::Attribute) {
        if let syn::Meta::List(list) = &attribute.meta {
            self.add_strings(list.tokens.clone());
            self.add_tokens(list.tokens.clone());
        }
    }
}

/// What a path leads to.
#[derive(Clone, Debug)]
struct Target {
    is_ours: bool,
    path: String,
    is_reexported: bool,
}

impl Target {
    /// `path` of this crate or of another one.
    const fn new(is_ours: bool, path: String) -> Self {
        Self { is_ours, path, is_reexported: false }
    }
}

/// What names mean in the modules of a crate.
struct Names<'a> {
    modules: &'a BTreeSet<String>,
    /// By module and name: the file of the import, and what was imported.
    imported: BTreeMap<(String, String), (String, Target)>,
    /// Module, and the module of this crate whose names it has.
    globs: Vec<(String, String)>,
}

impl Names<'_> {
    fn import(&mut self, found: &Found) {
        for target in self.resolve(found) {
            match &found.import {
                Some(Import::Name(name)) => {
                    let key = (found.module.clone(), name.clone());
                    self.imported.insert(key, (found.file.clone(), target));
                }
                Some(Import::Glob) if target.is_ours => {
                    let glob = (found.module.clone(), target.path);
                    if !self.globs.contains(&glob) {
                        self.globs.push(glob);
                    }
                }
                _ => {}
            }
        }
    }

    /// What `found` leads to.
    fn resolve(&self, found: &Found) -> Vec<Target> {
        let (first, rest) = match found.segments.split_first() {
            Some((first, rest)) => (first.as_str(), rest),
            None => return Vec::new(),
        };
        let module = &found.module;
        let mut base: Vec<&str> = module.split("::").filter(|part| !part.is_empty()).collect();
        let mut rest = rest;
        match first {
            "crate" => base.clear(),
            "self" => {}
            "super" => {
                base.pop();
            }
            "Self" => return Vec::new(),
            name => return self.resolve_name(found, name, rest),
        }
        while let Some((next, after)) = rest.split_first() {
            match next.as_str() {
                "super" => {
                    base.pop();
                }
                "self" => {}
                _ => break,
            }
            rest = after;
        }
        self.with_imports(&found.file, &base.join("::"), rest)
    }

    /// The path of this crate that is `rest` from the module `base` on; and where it leads through a name that a
    /// module on the way imported.
    fn with_imports(&self, file: &str, base: &str, rest: &[String]) -> Vec<Target> {
        let path = rest.iter().fold(base.to_owned(), |path, part| join(&path, part));
        let mut targets = vec![Target::new(true, path)];
        let mut module = base.to_owned();
        for (at, name) in rest.iter().enumerate() {
            let after = rest.get(at + 1..).unwrap_or_default();
            targets.extend(self.through_import(file, &module, name, after));
            module = join(&module, name);
        }
        targets
    }

    fn through_import(
        &self,
        file: &str,
        module: &str,
        name: &str,
        rest: &[String],
    ) -> Option<Target> {
        let (importer, target) = self.imported.get(&(module.to_owned(), name.to_owned()))?;
        let mut target = target.clone();
        target.path = rest.iter().fold(target.path, |path, part| join(&path, part));
        target.is_reexported |= importer != file;
        Some(target)
    }

    fn resolve_name(&self, found: &Found, name: &str, rest: &[String]) -> Vec<Target> {
        let (module, file) = (&found.module, &found.file);
        // Items in a function, and those of inline modules, are looked for outwards as well.
        if let Some(target) = self.through_import(file, module, name, rest) {
            return vec![target];
        }
        if self.modules.contains(&join(module, name)) {
            return self.with_imports(file, &join(module, name), rest);
        }
        let all = |base: &str| rest.iter().fold(join(base, name), |path, part| join(&path, part));
        let mut targets = Vec::new();
        for (_, base) in self.globs.iter().filter(|(user, _)| user == module) {
            if self.modules.contains(&join(base, name)) {
                targets.push(Target::new(true, all(base)));
            }
            targets.extend(self.through_import(file, base, name, rest));
        }
        if targets.is_empty() { vec![Target::new(false, all(""))] } else { targets }
    }
}
