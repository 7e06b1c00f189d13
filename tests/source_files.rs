//! The source files of a crate as rooms of a house: no two lead to each other in a circle, and none is too long to read.
//!
//! An arrow from one file to another says that the first names something that the second defines. Names are followed through
//! `use`, also where a module only hands them on: a `mod.rs` that re-exports its children is a face, not a room. Declaring a
//! child (`mod child;`) is no arrow, and what stands under `#[cfg(test)]` does not count. Methods are not followed: whoever
//! calls one got the value from somewhere, and named its type there.
#![expect(clippy::expect_used, reason = "a test that cannot read the source has failed")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

/// A file beyond this holds two things.
const MOST_LINES: usize = 450;

/// Parts of a module's path from its crate's root.
type ModulePath = Vec<String>;

/// One file of a crate, or a module within a file.
#[derive(Default)]
struct Module {
    file: PathBuf,
    /// Names that it defines.
    items: BTreeSet<String>,
    /// Names that it takes from elsewhere, and the paths that they stand for.
    uses: BTreeMap<String, ModulePath>,
    /// Modules of which it takes everything.
    globs: Vec<ModulePath>,
    /// Paths that its code names, as written.
    named: BTreeSet<ModulePath>,
}

type Modules = BTreeMap<ModulePath, Module>;

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn source_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files.extend(source_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
    files
}

fn crates() -> Vec<PathBuf> {
    let folders = fs::read_dir(repository().join("crates")).expect("crates");
    let mut crates: Vec<PathBuf> = folders.map(|entry| entry.expect("an entry").path().join("src")).collect();
    crates.sort();
    crates
}

/// The file as people of the project name it.
fn shown(file: &Path) -> String {
    file.strip_prefix(repository()).expect("a file of the repository").display().to_string()
}

/// The words and signs of a source text: identifiers, `::`, and single signs. Comments, texts, numbers and lifetimes are left
/// out.
fn tokens(text: &str) -> Vec<String> {
    let signs: Vec<char> = text.chars().collect();
    let (mut tokens, mut at) = (Vec::new(), 0);
    let find = |from: usize, what: &str| {
        let what: Vec<char> = what.chars().collect();
        (from..signs.len()).find(|&start| signs[start..].starts_with(&what)).unwrap_or(signs.len())
    };
    while at < signs.len() {
        let (sign, next) = (signs[at], signs.get(at + 1).copied().unwrap_or(' '));
        if sign == '/' && next == '/' {
            at = find(at, "\n");
        } else if sign == '/' && next == '*' {
            at = find(at, "*/") + 2;
        } else if sign == '"' {
            at = after_text(&signs, at + 1);
        } else if sign == '\'' && (next == '\\' || signs.get(at + 2) == Some(&'\'')) {
            at += if next == '\\' { 3 } else { 2 };
            at = find(at, "'") + 1;
        } else if sign == '\'' {
            at += 1 + signs[at + 1..].iter().take_while(|sign| is_word(**sign)).count();
        } else if is_word(sign) {
            let word: String = signs[at..].iter().take_while(|sign| is_word(**sign)).collect();
            at += word.chars().count();
            let hashes = signs[at.min(signs.len())..].iter().take_while(|sign| **sign == '#').count();
            let raw = ["r", "br", "cr"].contains(&word.as_str());
            if raw && signs.get(at + hashes) == Some(&'"') {
                at = find(at + hashes + 1, &format!("\"{}", "#".repeat(hashes))) + hashes + 1;
            } else if !word.starts_with(|sign: char| sign.is_ascii_digit()) {
                tokens.push(word);
            }
        } else {
            let double = sign == ':' && next == ':';
            if !sign.is_whitespace() {
                tokens.push(if double { String::from("::") } else { sign.to_string() });
            }
            at += if double { 2 } else { 1 };
        }
    }
    tokens
}

fn is_word(sign: char) -> bool {
    sign.is_alphanumeric() || sign == '_'
}

/// Where a text in quotes ends.
fn after_text(signs: &[char], mut at: usize) -> usize {
    while let Some(sign) = signs.get(at) {
        match sign {
            '"' => return at + 1,
            '\\' => at += 2,
            _ => at += 1,
        }
    }
    at
}

/// The end of the group in brackets that opens at `at`.
fn closing(tokens: &[String], at: usize) -> usize {
    let mut depth = 0_usize;
    for (index, token) in tokens.iter().enumerate().skip(at) {
        match token.as_str() {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => {
                depth -= 1;
                if depth == 0 {
                    return index;
                }
            }
            _ => {}
        }
    }
    tokens.len() - 1
}

/// Leaves out what is there for tests alone: an item under `#[cfg(test)]`, with the attributes between.
fn without_tests(tokens: &[String]) -> Vec<String> {
    let (mut kept, mut at) = (Vec::new(), 0);
    let test = ["#", "[", "cfg", "(", "test", ")", "]"];
    while at < tokens.len() {
        if !tokens[at..].iter().zip(test).all(|(token, sign)| token == sign) || tokens.len() - at < test.len()
        {
            kept.push(tokens[at].clone());
            at += 1;
            continue;
        }
        at += test.len();
        while tokens[at] == "#" {
            at = closing(tokens, at + 1) + 1;
        }
        // an item ends with its body, or with a semicolon before one
        while ![";", "{"].contains(&tokens[at].as_str()) {
            at = if ["(", "["].contains(&tokens[at].as_str()) { closing(tokens, at) } else { at } + 1;
        }
        at = if tokens[at] == "{" { closing(tokens, at) } else { at } + 1;
    }
    kept
}

/// Reads one module's words, and those of modules within it.
fn read_module(tokens: &[String], file: &Path, here: &[String], modules: &mut Modules) {
    const DEFINES: [&str; 8] = ["struct", "enum", "trait", "fn", "type", "const", "static", "union"];
    let mut module = Module { file: file.to_owned(), ..Module::default() };
    let mut at = 0;
    while at < tokens.len() {
        let word = tokens[at].as_str();
        let before = at.checked_sub(1).map_or("", |before| tokens[before].as_str());
        let (next, after) = (tokens.get(at + 1), tokens.get(at + 2).map(String::as_str));
        match (word, next) {
            ("mod", Some(name)) if after == Some("{") => {
                let end = closing(tokens, at + 2);
                let inner = [here, std::slice::from_ref(name)].concat();
                read_module(&tokens[at + 3..end], file, &inner, modules);
                at = end;
            }
            ("use", Some(_)) if before != "<" && before != "+" => {
                let end = (at..tokens.len()).find(|&end| tokens[end] == ";").expect("a use ends");
                let handed_on = before == "pub" || before == ")";
                read_use(&tokens[at + 1..end], &[], handed_on, &mut module);
                at = end;
            }
            ("macro_rules", _) => {
                module.items.insert(tokens[at + 2].clone());
                at += 2;
            }
            (define, Some(name)) if DEFINES.contains(&define) && name.starts_with(is_word) => {
                module.items.insert(name.clone());
                at += 1;
            }
            (word, _) if word.starts_with(is_word) && before != "." => {
                let mut path = vec![word.to_owned()];
                while tokens.get(at + 1).is_some_and(|token| token == "::")
                    && tokens.get(at + 2).is_some_and(|token| token.starts_with(is_word))
                {
                    path.push(tokens[at + 2].clone());
                    at += 2;
                }
                module.named.insert(path);
            }
            _ => {}
        }
        at += 1;
    }
    modules.insert(here.to_vec(), module);
}

/// Reads what a `use` names after `prefix`, groups included. One that only hands names on does not use them.
fn read_use(tokens: &[String], prefix: &[String], handed_on: bool, module: &mut Module) {
    let (mut path, mut name) = (prefix.to_vec(), None);
    for (at, token) in tokens.iter().enumerate() {
        match token.as_str() {
            "::" => {}
            "*" => return module.globs.push(path),
            "{" => {
                let (mut depth, mut start) = (0_usize, at + 1);
                for (index, token) in tokens.iter().enumerate().take(tokens.len() - 1).skip(at + 1) {
                    match token.as_str() {
                        "{" => depth += 1,
                        "}" => depth -= 1,
                        "," if depth == 0 => {
                            read_use(&tokens[start..index], &path, handed_on, module);
                            start = index + 1;
                        }
                        _ => {}
                    }
                }
                return read_use(&tokens[start..tokens.len() - 1], &path, handed_on, module);
            }
            "as" => {
                name = Some(tokens[at + 1].clone());
                break;
            }
            "self" if !path.is_empty() => {}
            word => path.push(word.to_owned()),
        }
    }
    if let Some(name) = name.or_else(|| path.last().cloned()) {
        if !handed_on {
            module.named.insert(path.clone());
        }
        module.uses.insert(name, path);
    }
}

/// All modules of a crate, by path.
fn modules(source: &Path) -> Modules {
    let mut modules = Modules::new();
    for file in source_files(source) {
        let mut here: ModulePath = file
            .with_extension("")
            .strip_prefix(source)
            .expect("a file below")
            .iter()
            .map(|part| part.to_string_lossy().into_owned())
            .collect();
        // the program beside the library is a crate of its own, and names the library by its name
        if here == ["main"] && source.join("lib.rs").exists() {
            continue;
        }
        here.pop_if(|last| ["mod", "lib", "main"].contains(&last.as_str()));
        let text = fs::read_to_string(&file).expect("source");
        read_module(&without_tests(&tokens(&text)), &file, &here, &mut modules);
    }
    modules
}

/// The module that defines what `path`, as written in `here`, stands for, and its name; none where it is of another crate.
fn resolve(
    path: &[String],
    here: &[String],
    modules: &Modules,
    steps: usize,
) -> Option<(ModulePath, String)> {
    if steps == 0 {
        return None;
    }
    let mut at = here.to_vec();
    let mut rest = path;
    match path.first().map(String::as_str) {
        Some("crate") => (at, rest) = (Vec::new(), &path[1..]),
        Some("self") => rest = &path[1..],
        Some("super") => {
            while rest.first().is_some_and(|part| part == "super") {
                at.pop();
                rest = &rest[1..];
            }
        }
        _ => {}
    }
    while let Some((name, after)) = rest.split_first() {
        let child = [&at[..], std::slice::from_ref(name)].concat();
        if modules.contains_key(&child) {
            (at, rest) = (child, after);
            continue;
        }
        let module = modules.get(&at)?;
        if module.items.contains(name) {
            return Some((at, name.clone()));
        }
        if let Some(used) = module.uses.get(name) {
            // a name that stands for itself is another crate's
            if used.len() == 1 && used[0] == *name {
                return None;
            }
            return resolve(&[&used[..], after].concat(), &at, modules, steps - 1);
        }
        return module
            .globs
            .iter()
            .find_map(|glob| resolve(&[&glob[..], rest].concat(), &at, modules, steps - 1));
    }
    None
}

/// Arrows between files, with the names that tie them.
fn arrows(modules: &Modules) -> BTreeMap<&Path, BTreeMap<&Path, BTreeSet<String>>> {
    let mut arrows: BTreeMap<&Path, BTreeMap<&Path, BTreeSet<String>>> = BTreeMap::new();
    for (here, module) in modules {
        for path in &module.named {
            let Some((there, name)) = resolve(path, here, modules, 16) else { continue };
            let there = modules[&there].file.as_path();
            if there != module.file {
                arrows.entry(&module.file).or_default().entry(there).or_default().insert(name);
            }
        }
    }
    arrows
}

/// Files from which a way along the arrows leads back, grouped.
fn circles<'a>(arrows: &BTreeMap<&'a Path, BTreeMap<&'a Path, BTreeSet<String>>>) -> Vec<BTreeSet<&'a Path>> {
    let reachable = |from: &'a Path| {
        let (mut seen, mut next) = (BTreeSet::new(), vec![from]);
        while let Some(file) = next.pop() {
            for there in arrows.get(file).into_iter().flat_map(BTreeMap::keys) {
                if seen.insert(*there) {
                    next.push(there);
                }
            }
        }
        seen
    };
    let reached: BTreeMap<&Path, BTreeSet<&Path>> =
        arrows.keys().map(|file| (*file, reachable(file))).collect();
    let mut circles: Vec<BTreeSet<&Path>> = Vec::new();
    for (file, there) in &reached {
        if there.contains(file) && !circles.iter().any(|circle| circle.contains(file)) {
            let back = |other: &&&Path| reached.get(**other).is_some_and(|there| there.contains(file));
            circles.push(there.iter().filter(back).copied().collect());
        }
    }
    circles
}

/// The circles of a crate made up of a face and two files.
fn circles_between(a: &str, b: &str) -> Vec<BTreeSet<PathBuf>> {
    let mut modules = Modules::new();
    for (name, text) in [("", "mod a; mod b; pub use a::A; pub use b::B;"), ("a", a), ("b", b)] {
        let here: ModulePath = [name].into_iter().filter(|name| !name.is_empty()).map(String::from).collect();
        read_module(&without_tests(&tokens(text)), Path::new(name), &here, &mut modules);
    }
    let found = circles(&arrows(&modules));
    found.iter().map(|circle| circle.iter().map(|file| file.to_path_buf()).collect()).collect()
}

#[test]
fn a_circle_is_found_through_a_face_and_not_in_tests_or_comments() {
    let uses = "use crate::B; pub struct A(B); // 'c\n";
    let both = [PathBuf::from("a"), PathBuf::from("b")];
    assert_eq!(circles_between(uses, "pub struct B(Option<Box<crate::A>>);"), [BTreeSet::from(both.clone())]);
    assert_eq!(circles_between(uses, "use super::a::{self as of_a}; pub struct B(of_a::A);"), [both.into()]);
    let in_tests = "pub struct B; /* crate::A */ const TEXT: &str = r#\"crate::A\"#; #[cfg(test)] mod tests { use crate::A; }";
    assert_eq!(circles_between(uses, in_tests), []);
}

#[test]
fn files_of_a_crate_do_not_use_each_other_in_a_circle() {
    let mut told = String::new();
    for source in crates() {
        let modules = modules(&source);
        let arrows = arrows(&modules);
        for circle in circles(&arrows) {
            writeln!(told, "a circle of {} files:", circle.len()).expect("a text grows");
            for (from, there) in arrows.iter().filter(|(from, _)| circle.contains(*from)) {
                for (to, names) in there.iter().filter(|(to, _)| circle.contains(*to)) {
                    let names: Vec<&str> = names.iter().map(String::as_str).collect();
                    writeln!(told, "  {} -> {}: {}", shown(from), shown(to), names.join(", "))
                        .expect("a text grows");
                }
            }
        }
    }
    assert!(told.is_empty(), "{told}");
}

#[test]
fn no_source_file_is_too_long_to_read() {
    let folders = ["crates", "tests", "benches", "examples"].map(|folder| repository().join(folder));
    let files = folders.iter().flat_map(|folder| source_files(folder));
    let long: Vec<String> = files
        .filter(|file| fs::read_to_string(file).expect("source").lines().count() > MOST_LINES)
        .map(|file| shown(&file))
        .collect();
    assert!(
        long.is_empty(),
        "more than {MOST_LINES} lines: find the second thing that lives there: {long:#?}"
    );
}
