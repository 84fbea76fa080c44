//! Checks the architecture: no import cycles, layers as `src/lib.rs` lists them, unique type names.
//!
//! In: the sources of the program, the emulator and the testbench. Out: the graph of imports between files, with re-exports resolved to the defining
//! file, without tests. It also sees names in macro arguments, since it searches tokens for paths.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use proc_macro2::{TokenStream, TokenTree};
use quote::ToTokens;
use syn::{Attribute, File, Item, UseTree, Visibility};

type Module = Vec<String>;

/// The files of one crate, without its tests.
struct House {
    /// The crate's name in paths of its own binary.
    name: String,
    files: BTreeMap<Module, File>,
}

/// The files that each file imports from.
type Graph = BTreeMap<Module, BTreeMap<Module, BTreeSet<String>>>;

// === impl House ===

impl House {
    /// The crate with its sources in this folder of the workspace.
    fn at(folder: &str, name: &str) -> Self {
        let mut house = Self {
            name: name.to_owned(),
            files: BTreeMap::new(),
        };
        house.add(
            &Path::new(env!("CARGO_MANIFEST_DIR")).join(folder),
            &Module::new(),
        );
        let of_tests: Vec<Module> = house.files.iter().flat_map(test_modules).collect();
        house
            .files
            .retain(|module, _| !of_tests.iter().any(|test| module.starts_with(test)));
        house
    }

    /// Of sources in memory, by module path.
    fn of(sources: &[(&str, &str)]) -> Self {
        let files = sources
            .iter()
            .map(|(module, text)| (split(module), syn::parse_file(text).unwrap()));
        Self {
            name: "house".to_owned(),
            files: files.collect(),
        }
    }

    fn add(&mut self, folder: &Path, module: &Module) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let stem = path.file_stem().unwrap().to_str().unwrap();
            let mut inner = module.clone();
            if !matches!(stem, "mod" | "lib") {
                inner.push(stem.to_owned());
            }
            if path.is_dir() {
                self.add(&path, &inner);
            } else if path.extension().is_some_and(|kind| kind == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                self.files.insert(inner, syn::parse_file(&text).unwrap());
            }
        }
    }

    fn graph(&self) -> Graph {
        let re_exports: BTreeMap<&Module, BTreeMap<String, Module>> = self
            .files
            .iter()
            .map(|(module, file)| (module, self.re_exports(module, file)))
            .collect();
        let edges = self.files.iter().map(|(module, file)| {
            let mut edges: BTreeMap<Module, BTreeSet<String>> = BTreeMap::new();
            for path in self.paths(module, file) {
                let (holder, name) = self.resolve(path, &re_exports);
                if holder != *module && !(holder.is_empty() && name.is_empty()) {
                    edges.entry(holder).or_default().insert(name);
                }
            }
            (module.clone(), edges)
        });
        edges.collect()
    }

    /// The defining file of this path, and the name.
    fn resolve(
        &self,
        path: Module,
        re_exports: &BTreeMap<&Module, BTreeMap<String, Module>>,
    ) -> (Module, String) {
        let mut path = path;
        // Re-exports are followed through at most this many files.
        for _ in 0..8 {
            let len = (0..=path.len())
                .rev()
                .find(|len| self.is_module(&path[..*len]));
            let (module, rest) = path.split_at(len.unwrap_or_default());
            let exported = rest
                .first()
                .and_then(|name| re_exports.get(&module.to_vec())?.get(name));
            match exported {
                Some(target) => path = [target, &rest[1..]].concat(),
                None => return (module.to_vec(), rest.first().cloned().unwrap_or_default()),
            }
        }
        panic!("{path:?} is re-exported in a circle");
    }

    fn is_module(&self, path: &[String]) -> bool {
        self.files.contains_key(path)
    }

    /// The names that the file re-exports.
    fn re_exports(&self, module: &Module, file: &File) -> BTreeMap<String, Module> {
        let mut names = BTreeMap::new();
        for item in tested_away(&file.items) {
            if let Item::Use(item) = item
                && !matches!(item.vis, Visibility::Inherited)
            {
                each_use(&item.tree, &Module::new(), &mut |path, name| {
                    assert_ne!(name, "*", "{module:?} re-exports by a glob");
                    names.extend(
                        self.absolute(module, path)
                            .map(|path| (name.to_owned(), path)),
                    );
                });
            }
        }
        names
    }

    /// Every path of the crate in the file.
    fn paths(&self, module: &Module, file: &File) -> Vec<Module> {
        let mut paths = Vec::new();
        for item in tested_away(&file.items) {
            match item {
                Item::Use(item) => each_use(&item.tree, &Module::new(), &mut |path, _| {
                    paths.extend(self.absolute(module, path));
                }),
                Item::Mod(item) if item.content.is_none() => {}
                item => scan(item.to_token_stream(), &mut |path| {
                    paths.extend(self.absolute(module, path));
                }),
            }
        }
        paths
    }

    /// The path from the crate's root; `None` for other crates and local names.
    fn absolute(&self, module: &Module, path: &[String]) -> Option<Module> {
        let (first, rest) = path.split_first()?;
        let mut base = module.clone();
        match first.as_str() {
            "crate" => base.clear(),
            name if name == self.name => base.clear(),
            "self" => {}
            "super" => {
                base.pop();
                let more = rest.iter().take_while(|name| *name == "super").count();
                base.truncate(base.len() - more);
                return Some([&base, &rest[more..]].concat());
            }
            child => {
                base.push(child.to_owned());
                self.is_module(&base).then_some(())?;
            }
        }
        Some([&base, rest].concat())
    }
}

fn split(module: &str) -> Module {
    module
        .split("::")
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect()
}

fn is_for_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute
                .meta
                .to_token_stream()
                .to_string()
                .contains("test")
    })
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

fn tested_away(items: &[Item]) -> impl Iterator<Item = &Item> {
    items.iter().filter(|item| !is_for_tests(attributes(item)))
}

/// The modules that the file declares for tests only.
fn test_modules((module, file): (&Module, &File)) -> Vec<Module> {
    let declared = file.items.iter().filter_map(|item| match item {
        Item::Mod(item) if is_for_tests(&item.attrs) => Some(item.ident.to_string()),
        _ => None,
    });
    declared
        .map(|name| [module.clone(), vec![name]].concat())
        .collect()
}

/// Each path of a `use`, and its local name.
fn each_use(tree: &UseTree, before: &Module, with: &mut impl FnMut(&[String], &str)) {
    let joined = |name: &str| match name {
        "self" => before.clone(),
        name => [before.clone(), vec![name.to_owned()]].concat(),
    };
    match tree {
        UseTree::Path(path) => each_use(&path.tree, &joined(&path.ident.to_string()), with),
        UseTree::Name(name) => {
            let path = joined(&name.ident.to_string());
            with(&path, &path.last().cloned().unwrap_or_default());
        }
        UseTree::Rename(rename) => {
            with(
                &joined(&rename.ident.to_string()),
                &rename.rename.to_string(),
            );
        }
        UseTree::Group(group) => group
            .items
            .iter()
            .for_each(|tree| each_use(tree, before, with)),
        UseTree::Glob(_) => with(before, "*"),
    }
}

/// Each path of two or more names among the tokens, except visibilities.
fn scan(tokens: TokenStream, with: &mut impl FnMut(&[String])) {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    let mut path = Module::new();
    let mut index = 0;
    while let Some(token) = tokens.get(index) {
        let is_visibility =
            index > 0 && matches!(&tokens[index - 1], TokenTree::Ident(name) if name == "pub");
        match token {
            TokenTree::Ident(name) => {
                let follows = index >= 2
                    && matches!(&tokens[index - 1], TokenTree::Punct(colon) if colon.as_char() == ':')
                    && matches!(&tokens[index - 2], TokenTree::Punct(colon) if colon.as_char() == ':');
                if !follows {
                    path.clear();
                }
                path.push(name.to_string());
                let goes_on = matches!(tokens.get(index + 1), Some(TokenTree::Punct(colon)) if colon.as_char() == ':')
                    && matches!(tokens.get(index + 2), Some(TokenTree::Punct(colon)) if colon.as_char() == ':')
                    && matches!(tokens.get(index + 3), Some(TokenTree::Ident(_)));
                if !goes_on && path.len() > 1 {
                    with(&path);
                }
            }
            TokenTree::Group(group) if !is_visibility => scan(group.stream(), with),
            _ => {}
        }
        index += 1;
    }
}

/// A cycle of the graph, as text; `None` if there is none.
fn circle(graph: &Graph) -> Option<String> {
    let mut done = BTreeSet::new();
    for start in graph.keys() {
        let mut way = Vec::new();
        if let Some(circle) = walk(graph, start, &mut way, &mut done) {
            return Some(circle);
        }
    }
    None
}

fn walk<'a>(
    graph: &'a Graph,
    at: &'a Module,
    way: &mut Vec<&'a Module>,
    done: &mut BTreeSet<&'a Module>,
) -> Option<String> {
    if let Some(begins) = way.iter().position(|seen| *seen == at) {
        let circle = way[begins..].iter().chain([&at]);
        let steps: Vec<&&Module> = circle.collect();
        let step = |pair: &[&&Module]| {
            let names: Vec<&str> = graph[*pair[0]][*pair[1]]
                .iter()
                .map(String::as_str)
                .collect();
            format!(
                "{} takes {} of {}",
                pair[0].join("::"),
                names.join(", "),
                pair[1].join("::")
            )
        };
        return Some(steps.windows(2).map(step).collect::<Vec<_>>().join("\n"));
    }
    if !done.insert(at) {
        return None;
    }
    way.push(at);
    let found = graph
        .get(at)
        .and_then(|edges| edges.keys().find_map(|next| walk(graph, next, way, done)));
    way.pop();
    found
}

fn houses() -> [House; 3] {
    [
        House::at("src", "amp_sidecar"),
        House::at("emulator/src", "emulator"),
        House::at("testbench/src", "testbench"),
    ]
}

#[test]
fn no_files_import_each_other_in_a_circle() {
    for house in houses() {
        let graph = house.graph();
        let edges: usize = graph.values().map(BTreeMap::len).sum();
        assert!(edges > 50, "{}: only {edges} imports are seen", house.name);
        if let Some(circle) = circle(&graph) {
            panic!("{}: a circle of imports\n{circle}", house.name);
        }
    }
}

#[test]
fn a_module_imports_only_modules_that_lib_rs_lists_above_it() {
    let house = House::at("src", "amp_sidecar");
    let layers: Vec<String> = house.files[&Module::new()]
        .items
        .iter()
        .filter_map(|item| match item {
            Item::Mod(item) => Some(item.ident.to_string()),
            _ => None,
        })
        .collect();
    let floor = |module: &Module| {
        layers
            .iter()
            .position(|layer| Some(layer) == module.first())
    };
    let mut upward = Vec::new();
    for (module, edges) in house.graph() {
        // The binary and the root are outside the layers.
        let Some(own) = floor(&module) else { continue };
        for (other, names) in edges {
            if floor(&other).is_some_and(|floor| floor > own) {
                upward.push(format!(
                    "{} takes {names:?} of {}",
                    module.join("::"),
                    other.join("::")
                ));
            }
        }
    }
    assert!(upward.is_empty(), "{}", upward.join("\n"));
}

#[test]
fn only_the_command_line_imports_the_commands_of_the_first_hour() {
    let house = House::at("src", "amp_sidecar");
    let of = |module: &Module| module.first().cloned().unwrap_or_default();
    for (module, edges) in house.graph() {
        for other in edges.keys() {
            let allowed: &[&str] = match of(other).as_str() {
                "check" => &["check", "cli", "main"],
                "setup" => &["setup", "check", "cli", "main"],
                _ => continue,
            };
            assert!(
                allowed.contains(&of(&module).as_str()),
                "{module:?} imports {other:?}"
            );
        }
    }
}

/// The same concept in parallel modules.
const PARALLEL: &[&str] = &["Error", "Options"];

#[test]
fn no_type_name_stands_for_two_things() {
    for house in houses() {
        let mut names: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (module, file) in &house.files {
            for item in tested_away(&file.items) {
                let name = match item {
                    Item::Enum(item) => &item.ident,
                    Item::Struct(item) => &item.ident,
                    Item::Trait(item) => &item.ident,
                    Item::Type(item) => &item.ident,
                    _ => continue,
                };
                names
                    .entry(name.to_string())
                    .or_default()
                    .push(module.join("::"));
            }
        }
        names.retain(|name, modules| modules.len() > 1 && !PARALLEL.contains(&name.as_str()));
        assert!(names.is_empty(), "{}: {names:#?}", house.name);
    }
}

#[test]
fn a_circle_is_found_through_a_re_export_and_in_the_arguments_of_a_macro() {
    let no_circle = House::of(&[
        ("", "mod a; mod b;"),
        ("a", "use crate::b::Thing; pub struct Other(Thing);"),
        (
            "b",
            "pub struct Thing; #[cfg(test)] mod tests { use crate::a::Other; }",
        ),
    ]);
    assert_eq!(circle(&no_circle.graph()), None);
    let re_export = House::of(&[
        ("", "mod a; mod b;"),
        ("a", "mod inner; pub use inner::Thing; use crate::b::Other;"),
        ("a::inner", "pub struct Thing;"),
        ("b", "use crate::a::Thing; pub struct Other(Thing);"),
    ]);
    assert_eq!(
        circle(&re_export.graph()),
        None,
        "b takes Thing of a::inner"
    );
    let parent = House::of(&[
        ("", "mod a;"),
        (
            "a",
            "mod inner; use inner::Thing; pub struct Holder(Thing);",
        ),
        (
            "a::inner",
            "pub struct Thing; fn show() { println!(\"{}\", super::Holder::NAME) }",
        ),
    ]);
    assert!(
        circle(&parent.graph())
            .unwrap()
            .contains("a::inner takes Holder of a")
    );
}
