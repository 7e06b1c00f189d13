//! Lists of decoders to compare, with several values of an option as a grid: `kalman,dkf-nw:lags=1,5,10,q=kernel`.
//!
//! Elements are separated by commas. One with `=`, and no `:` before it, is an option of the decoder before it. A name is
//! the next decoder. Any other word is a further value of the option before it, and so is the same option written again,
//! which a value that is also a decoder's name needs (`lags=1,lags=auto`). A decoder whose options have several values
//! stands for every combination of them, the last option's values changing first.

use crate::{DecoderName, DecoderSpec, SpecError, spec::MOST_DECODERS};

/// A decoder with the values of each of its options, in the order written.
struct Grid {
    decoder: DecoderName,
    options: Vec<(&'static str, Vec<String>)>,
}

impl DecoderSpec {
    /// Reads a list of decoders, grids expanded, in the order written.
    ///
    /// # Errors
    /// The first element that is not right, or more than 1000 decoders.
    pub fn parse_list(text: &str) -> Result<Vec<Self>, SpecError> {
        let mut grids: Vec<Grid> = Vec::new();
        for element in text.split(',').map(str::trim) {
            let assigns =
                element.find('=').is_some_and(|equals| element.find(':').is_none_or(|colon| colon > equals));
            let word = !element.contains(['=', ':']);
            let last = grids.last_mut();
            match (last, element.split_once(':')) {
                (Some(grid), _) if assigns => grid.assign(element)?,
                (None, _) if assigns => return Err(SpecError::Malformed { text: element.to_owned() }),
                (Some(grid), _)
                    if word && element.parse::<DecoderName>().is_err() && !grid.options.is_empty() =>
                {
                    grid.add_word(element)?;
                }
                (_, Some((name, assignment))) => {
                    let mut grid = Grid { decoder: name.trim().parse()?, options: Vec::new() };
                    grid.assign(assignment)?;
                    grids.push(grid);
                }
                (_, None) => grids.push(Grid { decoder: element.parse()?, options: Vec::new() }),
            }
        }
        let count = grids.iter().map(Grid::combinations).fold(0, usize::saturating_add);
        if count > MOST_DECODERS {
            return Err(SpecError::TooMany { count });
        }
        grids.iter().map(Grid::expanded).collect::<Result<Vec<_>, _>>().map(|specs| specs.concat())
    }
}

impl Grid {
    /// Takes `option=value`, or a further value of an option.
    fn assign(&mut self, text: &str) -> Result<(), SpecError> {
        let mut spec = DecoderSpec::new(self.decoder);
        spec.set_assignment(text)?;
        for (option, value) in spec.set_options() {
            let known = self.options.iter_mut().find(|(known, _)| *known == option);
            match known {
                Some((_, values)) if values.contains(&value) => {
                    return Err(SpecError::Twice { decoder: self.decoder.as_str(), option });
                }
                Some((_, values)) => values.push(value),
                None => self.options.push((option, vec![value])),
            }
        }
        Ok(())
    }

    /// Takes a further value of the option before it.
    fn add_word(&mut self, word: &str) -> Result<(), SpecError> {
        let Some(&(option, _)) = self.options.last() else { return Ok(()) };
        match self.assign(&format!("{option}={word}")) {
            Err(SpecError::BadValue { expected, .. }) => Err(SpecError::Neither {
                text: word.to_owned(),
                known: DecoderName::ALL.map(DecoderName::as_str).join(", "),
                decoder: self.decoder.as_str(),
                option,
                expected,
            }),
            taken => taken,
        }
    }

    fn combinations(&self) -> usize {
        self.options.iter().map(|(_, values)| values.len()).fold(1, usize::saturating_mul)
    }

    fn expanded(&self) -> Result<Vec<DecoderSpec>, SpecError> {
        let mut specs = vec![DecoderSpec::new(self.decoder)];
        for (option, values) in &self.options {
            let mut with_option = Vec::with_capacity(specs.len() * values.len());
            for spec in &specs {
                for value in values {
                    let mut spec = *spec;
                    spec.set(option, value)?;
                    with_option.push(spec);
                }
            }
            specs = with_option;
        }
        Ok(specs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::OPTIONS;

    fn texts(list: &str) -> Vec<String> {
        DecoderSpec::parse_list(list).unwrap().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn list_elements_with_an_assignment_continue_the_decoder_before_them() {
        assert_eq!(
            texts("kalman,dkf-nw:lags=3,q=kernel,wiener:lags=5, kalman-steady"),
            ["kalman", "dkf-nw:lags=3,q=kernel", "wiener:lags=5", "kalman-steady"]
        );
        assert_eq!(
            texts("dkf-gp:lags=15,auto,kalman,kalman"),
            ["dkf-gp:lags=15", "auto", "kalman", "kalman"]
        );
        assert!(matches!(DecoderSpec::parse_list("lags=3,kalman"), Err(SpecError::Malformed { .. })));
        assert!(matches!(DecoderSpec::parse_list("dkf-nw:,kalman"), Err(SpecError::Malformed { .. })));
        assert!(matches!(DecoderSpec::parse_list("kalman,3"), Err(SpecError::UnknownDecoder { .. })));
    }

    #[test]
    fn words_behind_an_option_are_further_values_and_grids_are_expanded() {
        assert_eq!(
            texts("dkf-nw:lags=1,5,10,form=robust,kalman"),
            [
                "dkf-nw:lags=1,form=robust",
                "dkf-nw:lags=5,form=robust",
                "dkf-nw:lags=10,form=robust",
                "kalman"
            ]
        );
        assert_eq!(
            texts("wiener:lags=1,lags=9,ridge=0,0.1"),
            [
                "wiener:lags=1,ridge=0",
                "wiener:lags=1,ridge=0.1",
                "wiener:lags=9,ridge=0",
                "wiener:lags=9,ridge=0.1"
            ]
        );
        // a decoder's name is the decoder; the option written again is the value
        assert_eq!(texts("dkf-nw:lags=3,auto"), ["dkf-nw:lags=3", "auto"]);
        assert_eq!(texts("dkf-nw:lags=3,lags=auto"), ["dkf-nw:lags=3", "dkf-nw:lags=auto"]);
    }

    #[test]
    fn what_no_grid_can_hold_is_refused() {
        let error = DecoderSpec::parse_list("kalman,dkf-nw:form=standard,robusst").unwrap_err().to_string();
        assert!(
            error.starts_with("`robusst` is neither a decoder (kalman, ")
                && error.ends_with(
                    "nor a value of `form` of `dkf-nw`, which takes `standard`, `robust`, `clipped`, `augmented` or `auto`"
                ),
            "{error}"
        );
        assert!(matches!(DecoderSpec::parse_list("wiener:lags=5,05"), Err(SpecError::Twice { .. })));
        let numbers: Vec<String> = (1..=100).map(|lags| lags.to_string()).collect();
        let degrees = "degree=1,2,3,4,5,6,7";
        let list = format!("wiener-cascade:lags={},{degrees},ridge=0,1", numbers.join(","));
        assert_eq!(DecoderSpec::parse_list(&list), Err(SpecError::TooMany { count: 1400 }));
    }

    #[test]
    fn no_value_of_an_option_but_these_is_the_name_of_a_decoder() {
        let words = |values: &str| -> Vec<String> {
            values.split('`').skip(1).step_by(2).map(str::to_owned).collect()
        };
        let mut shared: Vec<String> = OPTIONS
            .iter()
            .flat_map(|info| words(info.values))
            .filter(|word| word.parse::<DecoderName>().is_ok())
            .collect();
        shared.sort();
        shared.dedup();
        assert_eq!(shared, ["auto", "ekf", "ukf"]);
    }
}
