//! Cases that are tried in a random order, several at once.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::available_parallelism;
use std::time::Instant;

use crate::random::Random;
use crate::traced::{Place, Scenario};

/// Works through the items in several places at once, in an order given by the printed seed. It
/// handles all items if there is no `until`, and otherwise as many as there is time for, at least
/// one.
pub fn sweep<T: Sync>(
    scenario: Scenario,
    items: &[T],
    until: Option<Instant>,
    work: impl Fn(&Place, &T) + Sync,
) {
    let order = Random::new(0).order(items.len());
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                let mut place = Place::new(scenario);
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let is_late = until.is_some_and(|until| Instant::now() > until);
                    match order.get(number) {
                        Some(index) if number == 0 || !is_late => work(&place, &items[*index]),
                        _ => break,
                    }
                    // One finding must not lead to others.
                    if !place.left().is_empty() {
                        place = Place::new(scenario);
                    }
                }
            });
        }
    });
}
