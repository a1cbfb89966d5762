//! Who has something to tell, of one process.

use std::sync::{Mutex, PoisonError};

use crate::text::Text;

type Collector = Box<dyn Fn(&mut Text) + Send + Sync>;

/// What writes a process's metrics. It is locked when something is added, at the start, and when somebody reads.
#[derive(Default)]
pub struct Metrics {
    collectors: Mutex<Vec<Collector>>,
}

impl Metrics {
    /// From now on `collector` is asked whenever somebody reads. Each series must have one collector.
    pub fn add(&self, collector: impl Fn(&mut Text) + Send + Sync + 'static) {
        let mut collectors = self.collectors.lock().unwrap_or_else(PoisonError::into_inner);
        collectors.push(Box::new(collector));
    }

    /// The text of all metrics, as they are now.
    pub fn text(&self) -> String {
        let mut text = Text::default();
        for collector in self.collectors.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            collector(&mut text);
        }
        text.finish()
    }
}
