//! Counts to ticks: the binner and the engine of the live tick, and models that take over warmed.

use std::collections::{HashMap, VecDeque};

use arrayvec::ArrayVec;
use kalmind_engine::{
    Binner, BinnerSettings, Engine, EngineSettings, Examiner, History, HistoryRow, StagedModel, StreamBinning,
};
use kalmind_types::{
    Binning, ChannelMask, Command, LslTime, MAX_COMMANDS, ModelId, NumberFormat, SampleBlock, Samples,
    Seconds, StreamHealth, StreamTime, TickInput, TickOutput,
};

/// Binner, engine, the bins of the last seconds, and what is on its way to the tick.
#[derive(Debug)]
pub(super) struct Ticks {
    binner: Binner,
    engine: Engine,
    examiner: Examiner,
    history: History,
    input: TickInput,
    /// For the next ticks, in order.
    commands: VecDeque<Command>,
    /// Built models that have not taken over.
    built: HashMap<ModelId, Box<StagedModel>>,
    width: usize,
    samples: u64,
    spare: Option<Box<SampleBlock>>,
}

impl Ticks {
    /// For one stream of which each sample is a bin.
    pub(super) fn new(settings: EngineSettings, bin: Seconds) -> anyhow::Result<Self> {
        let stream = StreamBinning {
            binning: Binning::Sample,
            rate_hz: Some(1.0 / bin.0),
            required: true,
            max_age: Seconds(0.0),
            blocks: 2,
            block_samples: 1,
        };
        let binner = BinnerSettings {
            width: bin,
            max_wait: Seconds(f64::INFINITY),
            epoch_jump: Seconds(f64::INFINITY),
            streams: vec![stream],
        };
        let engine = Engine::new(settings)?;
        let width = engine.layout().width();
        Ok(Self {
            binner: Binner::new(binner, ChannelMask::default())?,
            examiner: engine.examiner(),
            history: History::new(width, History::rows_of(bin)),
            engine,
            input: TickInput::empty(),
            commands: VecDeque::new(),
            built: HashMap::new(),
            width,
            samples: 0,
            spare: None,
        })
    }

    /// The tick of the bin that ends at `time`.
    pub(super) fn tick(&mut self, time: LslTime, counts: &[f64]) -> anyhow::Result<TickOutput> {
        let Self { binner, engine, input, commands, width, samples, spare, .. } = self;
        let mut block = spare
            .take()
            .unwrap_or_else(|| Box::new(SampleBlock::with_capacity(NumberFormat::Double64, *width, 1)));
        block.first_index = *samples;
        block.health = StreamHealth::Live;
        block.received = time;
        block.stamps.clear();
        block.stamps.push(StreamTime(time.0));
        block.values.clear();
        if let Samples::Double64(kept) = &mut block.values {
            kept.extend_from_slice(counts);
        }
        *samples += 1;
        binner.accept(0, block);
        let due = commands.len().min(MAX_COMMANDS);
        let due: ArrayVec<Command, MAX_COMMANDS> = commands.drain(..due).collect();
        anyhow::ensure!(binner.close_next(time, &due, input), "no bin ends at {} s", time.0);
        let output = engine.step(input, &*binner);
        binner.release(|_, block| *spare = Some(block));
        let row = HistoryRow::of(input, engine.bin_facts(), engine.raw_features());
        self.history.follow(&row.moved(engine.moved()), engine.adaptive());
        // one that came back without having decoded is warmed anew, as live
        while let Some(mut model) = self.engine.take_retired() {
            if model.turned_away() {
                model.forget();
                self.send(model);
            }
        }
        Ok(output)
    }

    /// What there is to do before the next tick decodes.
    pub(super) fn command(&mut self, command: Command) {
        self.commands.push_back(command);
    }

    /// Keeps a model that is to take over when it is asked for.
    pub(super) fn keep(&mut self, model: Box<StagedModel>) {
        self.built.insert(model.id, model);
    }

    /// Lets a model that was kept take over with the next tick, warmed by the bins of the last seconds.
    pub(super) fn put_in(&mut self, id: ModelId) -> Result<(), String> {
        let model = self.built.remove(&id).ok_or("no such model was fitted, or it has decoded already")?;
        self.send(model);
        Ok(())
    }

    fn send(&mut self, mut model: Box<StagedModel>) {
        let Self { history, examiner, engine, commands, .. } = self;
        let id = model.id;
        let held = history.held();
        for row in held.iter().flat_map(|(oldest, newest)| *oldest..=*newest) {
            if let Some(row) = history.row(row) {
                model.warm(&row, examiner);
            }
        }
        let command = match held {
            Some((from, through)) => Command::SwapWarmed { model: id, from, through },
            None => Command::SwapModel(id),
        };
        // one that does not fit would have been refused by the fit
        drop(engine.stage(model));
        commands.push_back(command);
    }

    /// The model that decodes, and whether it may not control until somebody confirms it.
    pub(super) fn model(&self) -> Option<(ModelId, bool)> {
        self.engine.model_and_doubt().map(|(model, doubt)| (model, doubt.is_some()))
    }

    /// Start of the newest bin.
    pub(super) fn start(&self) -> LslTime {
        self.input.start
    }

    /// Raw features of the newest bin in use, into `features`.
    pub(super) fn features(&self, features: &mut Vec<f64>) {
        features.clear();
        features.extend(self.engine.layout().in_use(&self.input.masked, self.engine.raw_features()));
    }
}
