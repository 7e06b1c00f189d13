//! `maps` of a `reference`: arrays of channels from files of electrodes (`.cmp`), as the makers of Utah arrays deliver them.

use std::{collections::BTreeMap, path::Path};

use kalmind_signal::{ReferenceSettings, StageSettings};

use super::input::Stream;

/// Channels of a bank of the amplifier, each of which has a letter.
const BANK: usize = 32;

/// An electrode, as a line of a map has it.
struct Electrode {
    line: usize,
    place: (u32, u32),
    /// Counted from 0.
    channel: usize,
    /// What tells its array from others of the same file: `elec1-` of the label `elec1-2`; empty where the label has no such part.
    array: String,
}

/// Puts arrays of channels in the place of the maps that stages name, from a configuration in this folder.
///
/// # Errors
/// The path of the stage in the configuration, and what is wrong with a map.
pub(super) fn apply(streams: &mut [Stream], folder: &Path) -> Result<(), (String, String)> {
    for (index, stream) in streams.iter_mut().enumerate() {
        for (place, stage) in stream.stages.iter_mut().enumerate() {
            if let StageSettings::Reference(settings) = stage {
                read(settings, folder)
                    .map_err(|problem| (format!("stream[{index}].stages[{place}]"), problem))?;
            }
        }
    }
    Ok(())
}

fn read(settings: &mut ReferenceSettings, folder: &Path) -> Result<(), String> {
    let mut texts = Vec::new();
    for map in core::mem::take(&mut settings.maps) {
        let file = folder.join(&map);
        let bytes = std::fs::read(&file).map_err(|error| format!("{}: {error}", file.display()))?;
        // labels are names, and may be in any encoding
        texts.push((map, String::from_utf8_lossy(&bytes).into_owned()));
    }
    let arrays = arrays(&texts)?;
    let is_run = |array: &Vec<usize>| array.windows(2).all(|two| two[0] + 1 == two[1]);
    if arrays.iter().all(is_run) {
        let ends = |array: &Vec<usize>| Some([*array.first()?, *array.last()? + 1]);
        settings.arrays.extend(arrays.iter().filter_map(ends));
    } else {
        settings.array_channels = arrays;
    }
    Ok(())
}

/// The channels of each array of some maps, rising.
fn arrays(maps: &[(String, String)]) -> Result<Vec<Vec<usize>>, String> {
    let mut arrays = Vec::new();
    let mut channels = BTreeMap::new();
    for (file, text) in maps {
        let electrodes = electrodes(text).map_err(|problem| format!("{file}, {problem}"))?;
        // arrays stand as their first electrodes do
        let mut of_file: Vec<(&str, Vec<usize>)> = Vec::new();
        let mut places = BTreeMap::new();
        for Electrode { line, place, channel, array } in &electrodes {
            if let Some((before, other)) = channels.insert(*channel, (*line, file)) {
                let named = (char::from(b'A' + (channel / BANK) as u8), channel % BANK + 1, channel + 1);
                return Err(format!(
                    "{file}, line {line}: bank {} electrode {} (channel {}) stands in line {before} of {other} as well",
                    named.0, named.1, named.2
                ));
            }
            if let Some(before) = places.insert((array, place), line) {
                return Err(format!(
                    "{file}, line {line}: column {} and row {} have an electrode in line {before} as well; two arrays in one file \
                     need labels such as elec1-1 and elec2-1, or a file each",
                    place.0, place.1
                ));
            }
            match of_file.iter_mut().find(|(name, _)| name == array) {
                Some((_, members)) => members.push(*channel),
                None => of_file.push((array, vec![*channel])),
            }
        }
        arrays.extend(of_file.into_iter().map(|(_, mut members)| {
            members.sort_unstable();
            members
        }));
    }
    Ok(arrays)
}

/// The electrodes of a map.
fn electrodes(text: &str) -> Result<Vec<Electrode>, String> {
    // editors put a byte order mark in front, which would make the first electrode a description
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let lines = (1..).zip(text.lines().map(str::trim));
    let mut lines = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with("//")).peekable();
    // what the map is of may stand in front
    let is_description =
        |line: &str| line.split_whitespace().next().is_some_and(|word| word.parse::<u32>().is_err());
    lines.next_if(|(_, line)| is_description(line));
    let electrodes = lines
        .map(|(number, line)| {
            electrode(number, line).ok_or_else(|| {
                format!("line {number}: {line:?} is no electrode: column, row, bank (A to Z), electrode (1 to {BANK}), label")
            })
        })
        .collect::<Result<Vec<_>, _>>()?;
    if electrodes.is_empty() {
        return Err(String::from("line 1: there is no electrode in it"));
    }
    Ok(electrodes)
}

fn electrode(line: usize, text: &str) -> Option<Electrode> {
    let mut fields = text.split_whitespace();
    let place = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    let bank = match fields.next()?.as_bytes() {
        [letter] if letter.is_ascii_alphabetic() => usize::from(letter.to_ascii_uppercase() - b'A'),
        _ => return None,
    };
    let electrode: usize = fields.next()?.parse().ok().filter(|electrode| (1..=BANK).contains(electrode))?;
    let label = fields.next().unwrap_or_default();
    let stem = label.trim_end_matches(|last: char| last.is_ascii_digit());
    let array = if stem.len() < label.len() && stem.ends_with('-') { stem.to_owned() } else { String::new() };
    Some(Electrode { line, place, channel: bank * BANK + electrode - 1, array })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(texts: &[&str]) -> Result<Vec<Vec<usize>>, String> {
        let named = (1..).zip(texts).map(|(number, text)| (format!("{number}.cmp"), (*text).to_owned()));
        arrays(&named.collect::<Vec<_>>())
    }

    const WITH_TABS: &str = "// a comment\r\n//col\trow\tbank\telectrode\tlabel\r\nMapping of array 7\r\n\r\n\
         0\t1\tA\t2\tchan2\r\n0\t0\tA\t1\tchan1\r\n1\t0\tB\t1\tchan33\r\n";

    #[test]
    fn a_channel_is_that_of_bank_and_electrode_however_the_file_is_written() {
        assert_eq!(of(&[WITH_TABS]).unwrap(), [vec![0, 1, 32]]);
        let with_spaces = "0 0  d 32  chan128\n 1   0 E 1";
        assert_eq!(of(&[with_spaces]).unwrap(), [vec![127, 128]]);
        for text in [WITH_TABS, with_spaces] {
            assert_eq!(of(&[&format!("\u{feff}{text}")]), of(&[text]), "{text:?}");
        }
    }

    #[test]
    fn arrays_are_a_file_each_or_told_apart_by_their_labels() {
        let second = "0 0 C 1 a1\n0 1 C 2 a2";
        assert_eq!(of(&[WITH_TABS, second]).unwrap(), [vec![0, 1, 32], vec![64, 65]]);
        let both = "Two arrays\n0 0 A 1 elec2-1\n0 0 A 3 elec1-1\n1 0 A 2 elec2-2\n1 0 A 4 elec1-2";
        assert_eq!(of(&[both]).unwrap(), [vec![0, 1], vec![2, 3]]);
    }

    #[test]
    fn what_cannot_be_a_map_is_refused_with_its_line() {
        for (texts, says) in [
            (vec!["// nothing\n"], "1.cmp, line 1: there is no electrode in it"),
            (vec!["0 0 A 1 a\n0 1 A 33 b"], "1.cmp, line 2: \"0 1 A 33 b\" is no electrode"),
            (vec!["0 0 A 1 a\n\nMapping"], "1.cmp, line 3: \"Mapping\" is no electrode"),
            (vec!["Mapping\n0 0 AB 1 a"], "1.cmp, line 2: "),
            (
                vec!["0 0 A 1 a\n1 0 A 1 b"],
                "line 2: bank A electrode 1 (channel 1) stands in line 1 of 1.cmp as well",
            ),
            (
                vec!["0 0 B 2 a", "0 0 B 2 a"],
                "2.cmp, line 1: bank B electrode 2 (channel 34) stands in line 1 of 1.cmp",
            ),
            (vec!["0 0 A 1 a\n0 0 A 2 b"], "column 0 and row 0 have an electrode in line 1 as well"),
        ] {
            let error = of(&texts).unwrap_err();
            assert!(error.contains(says), "{error}");
        }
    }
}
