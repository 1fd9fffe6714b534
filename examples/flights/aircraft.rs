//! [`Aircraft`]: the state of one grain, what its departures add up to.

use serde::{Deserialize, Serialize};

use crate::departures::Departure;

/// The grain type; the key is the tail number.
pub(crate) const GRAIN_TYPE: &str = "aircraft";

/// What one aircraft's departures so far add up to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Aircraft {
    /// Of the last departure, as are all `last_` fields.
    pub(crate) carrier: String,
    pub(crate) flights: u64,
    pub(crate) miles: i64,
    /// Minutes; early departures count below zero.
    pub(crate) total_departure_delay_min: i64,
    pub(crate) last_origin: String,
    pub(crate) last_destination: String,
    pub(crate) last_departed_at: String,
}

impl Aircraft {
    /// The state after one more departure, or none if a sum would overflow.
    pub(crate) fn after(&self, departure: &Departure) -> Option<Self> {
        Some(Self {
            carrier: departure.carrier.clone(),
            flights: self.flights.checked_add(1)?,
            miles: self.miles.checked_add(departure.distance_mi)?,
            total_departure_delay_min: self
                .total_departure_delay_min
                .checked_add(departure.departure_delay_min)?,
            last_origin: departure.origin.clone(),
            last_destination: departure.destination.clone(),
            last_departed_at: departure.departed_at.clone(),
        })
    }
}
