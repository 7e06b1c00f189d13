//! Disks in memory whose writes fail, fall short, or stand still.

use std::{
    io,
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use kalmind_recording::xdf::writer::Sink;

/// What happens to one write.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Fault {
    /// It fails.
    Fail,
    /// It writes so many bytes, and the rest fails.
    Short(usize),
    /// It writes so many bytes, the rest fails, and the file cannot be cut back either, once.
    Torn(usize),
}

/// A file in memory with a fault at a range of writes.
pub(super) struct Disk {
    bytes: Arc<Mutex<Vec<u8>>>,
    writes: u64,
    faulty: std::ops::Range<u64>,
    fault: Fault,
    short_of: bool,
    cut_fails: bool,
}

impl Disk {
    pub(super) fn new(faulty: std::ops::Range<u64>, fault: Fault) -> (Self, Arc<Mutex<Vec<u8>>>) {
        let bytes = Arc::new(Mutex::new(Vec::new()));
        let disk =
            Self { bytes: Arc::clone(&bytes), writes: 0, faulty, fault, short_of: false, cut_fails: false };
        (disk, bytes)
    }

    fn put(&self, offset: u64, bytes: &[u8]) -> usize {
        let mut file = self.bytes.lock().expect("a lock");
        let end = offset as usize + bytes.len();
        let length = file.len().max(end);
        file.resize(length, 0);
        file[offset as usize..end].copy_from_slice(bytes);
        bytes.len()
    }
}

impl Sink for Disk {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<usize> {
        if core::mem::take(&mut self.short_of) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.writes += 1;
        if !self.faulty.contains(&self.writes) {
            return Ok(self.put(offset, bytes));
        }
        match self.fault {
            Fault::Fail => Err(io::ErrorKind::StorageFull.into()),
            Fault::Short(count) | Fault::Torn(count) => {
                self.cut_fails = matches!(self.fault, Fault::Torn(_));
                self.short_of = true;
                Ok(self.put(offset, &bytes[..count.min(bytes.len() - 1)]))
            }
        }
    }

    fn cut(&mut self, length: u64) -> io::Result<()> {
        if core::mem::take(&mut self.cut_fails) {
            return Err(io::ErrorKind::Other.into());
        }
        self.bytes.lock().expect("a lock").truncate(length as usize);
        Ok(())
    }

    fn length(&mut self) -> io::Result<u64> {
        Ok(self.bytes.lock().expect("a lock").len() as u64)
    }
}

/// A disk whose writes stand still until the gate is opened.
pub(super) struct Slow {
    pub(super) open: Arc<(Mutex<bool>, Condvar)>,
    pub(super) written: Arc<AtomicU64>,
}

impl Sink for Slow {
    fn write_at(&mut self, _offset: u64, bytes: &[u8]) -> io::Result<usize> {
        let (open, changed) = &*self.open;
        let _open = changed.wait_while(open.lock().expect("a lock"), |open| !*open).expect("a lock");
        self.written.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        Ok(bytes.len())
    }

    fn cut(&mut self, _length: u64) -> io::Result<()> {
        Ok(())
    }

    fn length(&mut self) -> io::Result<u64> {
        Ok(u64::MAX)
    }
}
