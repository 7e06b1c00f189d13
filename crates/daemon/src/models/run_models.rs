//! The models of a run: every one by its identity, with where it comes from and how good it is, ready to be put to work
//! again.

use std::sync::Arc;

use kalmind_offline::model::IdentifiedModel;
use kalmind_output::{DecoderInfo, ModelEntry, ModelList};
use kalmind_types::{Actor, EventBody, LslTime, ModelEvent, ModelId, ModelSource};

use crate::decoder_info::decoder_info;

/// Models that are kept at once.
const MOST: usize = 256;
/// Bytes of their files together; in memory each takes about twice that of its own.
const MOST_BYTES: usize = 256 << 20;

/// How a model came to the run.
#[derive(Clone, Debug, PartialEq)]
pub struct Origin {
    /// Where it comes from.
    pub source: ModelSource,
    /// Who brought it.
    pub by: Actor,
    /// When.
    pub added: LslTime,
    /// Bins that it was fitted to, where it was fitted in this run.
    pub train_bins: Option<u64>,
    /// Name of the file that it was read from, or saved to.
    pub file: Option<String>,
}

impl Origin {
    /// What is published of a model that came this way, where it does not take over at once as one that was fitted does.
    #[must_use]
    pub fn event(&self, model: &IdentifiedModel) -> EventBody {
        let DecoderInfo { name: decoder, model: hash, poor, .. } = decoder_info(model);
        let (source, by, file) = (self.source, self.by, self.file.clone());
        EventBody::Model(ModelEvent::Added { decoder, hash, source, by, file, poor })
    }
}

#[derive(Debug)]
struct Known {
    model: Arc<IdentifiedModel>,
    /// What clients are told of it, but for whether it decodes.
    entry: ModelEntry,
    /// When it was last of use: the number of an addition or activation.
    used: u64,
}

/// The models of a run. When there are too many, the one that has been out of use for longest is given up and counted,
/// never the one that decodes nor the one before it.
#[derive(Debug, Default)]
pub struct RunModels {
    known: Vec<Known>,
    active: Option<ModelId>,
    /// Those on their way to a tick, the newest last.
    on_their_way: Vec<ModelId>,
    before: Option<ModelId>,
    uses: u64,
    forgotten: u64,
}

impl RunModels {
    /// Takes a model in; `false` where it is known already.
    pub fn add(&mut self, model: &Arc<IdentifiedModel>, origin: Origin) -> bool {
        if self.find(model.id).is_some() {
            return false;
        }
        self.uses += 1;
        self.known.push(Known { model: Arc::clone(model), entry: entry(model, origin), used: self.uses });
        while self.known.len() > MOST || self.bytes() > MOST_BYTES {
            let needed = [self.active, self.before, Some(model.id)];
            let is_needed = |id| needed.contains(&Some(id)) || self.on_their_way.contains(&id);
            let idle = self.known.iter().enumerate().filter(|(_, known)| !is_needed(known.model.id));
            let Some((place, _)) = idle.min_by_key(|(_, known)| known.used) else { break };
            let given_up = self.known.remove(place);
            self.forgotten += 1;
            tracing::warn!(
                model = given_up.model.id.to_hex(),
                "a model was given up to make room for newer ones"
            );
        }
        true
    }

    /// The model of this identity.
    #[must_use]
    pub fn get(&self, id: ModelId) -> Option<Arc<IdentifiedModel>> {
        self.find(id).map(|known| Arc::clone(&known.model))
    }

    /// Bins that it was fitted to, where it was fitted in this run.
    #[must_use]
    pub fn train_bins(&self, id: ModelId) -> Option<u64> {
        self.find(id)?.entry.train_bins
    }

    /// The newest model on its way to a tick, else the one that the newest tick showed.
    #[must_use]
    pub fn newest(&self) -> Option<ModelId> {
        self.on_their_way.last().copied().or(self.active)
    }

    /// Models on their way to a tick.
    #[must_use]
    pub fn on_their_way(&self) -> usize {
        self.on_their_way.len()
    }

    /// Notes that a model is on its way to a tick; `false`, and nothing changes, where it is the newest already.
    pub fn want(&mut self, id: ModelId) -> bool {
        let news = self.newest() != Some(id);
        if news {
            self.on_their_way.push(id);
        }
        news
    }

    /// Notes that a model is no longer on its way: a tick had its command, or it was given up.
    pub fn settle(&mut self, id: ModelId) {
        if let Some(place) = self.on_their_way.iter().position(|other| *other == id) {
            self.on_their_way.remove(place);
        }
    }

    /// Notes that a model goes its way once more that came back, before all others.
    pub fn want_again(&mut self, id: ModelId) {
        self.on_their_way.insert(0, id);
    }

    /// Notes which model decodes, as a tick shows it.
    pub fn activate(&mut self, id: Option<ModelId>) {
        if self.active == id {
            return;
        }
        self.before = core::mem::replace(&mut self.active, id).or(self.before);
        self.uses += 1;
        let (used, touched) = (self.uses, [self.active, self.before]);
        for known in self.known.iter_mut().filter(|known| touched.contains(&Some(known.model.id))) {
            known.used = used;
        }
    }

    /// Notes the name of the file that a model was saved to.
    pub fn saved_as(&mut self, id: ModelId, file: String) {
        if let Some(known) = self.known.iter_mut().find(|known| known.model.id == id) {
            known.entry.file = Some(file);
        }
    }

    /// Those that are kept.
    #[must_use]
    pub fn ids(&self) -> Arc<[ModelId]> {
        self.known.iter().map(|known| known.model.id).collect()
    }

    /// What clients are told of a model.
    #[must_use]
    pub fn entry(&self, id: ModelId) -> Option<ModelEntry> {
        self.find(id).map(|known| self.entry_of(known))
    }

    /// What clients are told of all of them.
    #[must_use]
    pub fn list(&self) -> ModelList {
        ModelList {
            models: self.known.iter().map(|known| self.entry_of(known)).collect(),
            active: self.active.map(ModelId::to_hex),
            before: self.before.map(ModelId::to_hex),
            wanted: self.on_their_way.last().map(|id| id.to_hex()),
            forgotten: self.forgotten,
        }
    }

    fn entry_of(&self, known: &Known) -> ModelEntry {
        ModelEntry { active: self.active == Some(known.model.id), ..known.entry.clone() }
    }

    fn find(&self, id: ModelId) -> Option<&Known> {
        self.known.iter().find(|known| known.model.id == id)
    }

    fn bytes(&self) -> usize {
        self.known.iter().map(|known| known.model.file.len()).sum()
    }
}

fn entry(model: &IdentifiedModel, origin: Origin) -> ModelEntry {
    let Origin { source, by, added, train_bins, file } = origin;
    ModelEntry {
        decoder: decoder_info(model),
        source,
        by,
        added,
        train_bins,
        file,
        bytes: model.file.len() as u64,
        active: false,
        doubt: model.doubt().map(|doubt| doubt.text),
    }
}

#[cfg(test)]
mod tests {
    use kalmind_filter::Model;

    use super::*;

    /// Models that differ in their training mean alone.
    fn model(number: usize) -> Arc<IdentifiedModel> {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/models/kalman.safetensors");
        let read = kalmind_offline::model::load(path.as_ref()).expect("a model");
        let mut model: Model = (*read.model).clone();
        model.training_mean[0] = number as f64;
        Arc::new(IdentifiedModel::of(model).expect("a model"))
    }

    fn origin() -> Origin {
        let (source, by) = (ModelSource::Posted, Actor::Operator);
        Origin { source, by, added: LslTime(1.0), train_bins: None, file: None }
    }

    #[test]
    fn the_one_before_is_the_one_that_decoded_last() {
        let mut models = RunModels::default();
        let [a, b] = [model(1), model(2)];
        assert!(models.add(&a, origin()) && models.add(&b, origin()));
        assert!(!models.add(&a, origin()), "known already");
        assert_eq!((models.list().active, models.list().before), (None, None));
        models.activate(Some(a.id));
        models.activate(Some(b.id));
        models.activate(Some(b.id));
        let list = models.list();
        assert_eq!((list.active, list.before), (Some(b.id.to_hex()), Some(a.id.to_hex())));
        assert_eq!(list.models.iter().map(|entry| entry.active).collect::<Vec<_>>(), [false, true]);
        models.activate(Some(a.id));
        assert_eq!(models.list().before, Some(b.id.to_hex()), "undone, and can be redone");
    }

    #[test]
    fn one_that_is_on_its_way_can_be_taken_back_by_asking_for_the_one_that_decodes() {
        let mut models = RunModels::default();
        let [a, b] = [model(1), model(2)];
        assert!(models.add(&a, origin()) && models.add(&b, origin()));
        models.activate(Some(a.id));
        assert!(!models.want(a.id), "it decodes, and no other one comes");
        assert!(models.want(b.id) && !models.want(b.id));
        assert_eq!(models.list().wanted, Some(b.id.to_hex()));
        assert!(models.want(a.id), "another one was on its way");
        // both arrive, one after the other
        models.settle(b.id);
        models.activate(Some(b.id));
        assert_eq!((models.list().active, models.list().wanted), (Some(b.id.to_hex()), Some(a.id.to_hex())));
        models.settle(a.id);
        models.activate(Some(a.id));
        assert_eq!((models.list().active, models.list().wanted), (Some(a.id.to_hex()), None));
        // the newest one is refused: the one before it is still on its way
        assert!(models.want(b.id) && models.want(a.id));
        models.settle(a.id);
        assert_eq!(models.list().wanted, Some(b.id.to_hex()));
        models.settle(b.id);
        assert!(models.want(b.id), "it can be asked for once more");
    }

    #[test]
    fn when_there_are_too_many_the_one_longest_out_of_use_is_given_up_and_counted() {
        let mut models = RunModels::default();
        let all: Vec<_> = (0..MOST + 3).map(model).collect();
        for model in &all[..MOST] {
            models.add(model, origin());
        }
        models.activate(Some(all[0].id));
        models.activate(Some(all[2].id));
        for model in &all[MOST..] {
            models.add(model, origin());
        }
        let list = models.list();
        assert_eq!((list.models.len(), list.forgotten), (MOST, 3));
        let kept = |place: usize| models.get(all[place].id).is_some();
        assert!(kept(0) && kept(2), "one decodes, the other did before it");
        assert!(!kept(1) && !kept(3) && !kept(4) && kept(5) && kept(MOST + 2));
    }
}
