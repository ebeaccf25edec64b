//! PEF configuration parameters (IPMI v2.0 §30.3, §30.4, Table 30-6).

use std::collections::BTreeMap;
use std::sync::Arc;

use ipmi_proto::codec::{Bits, Remaining};
use ipmi_proto::{CompletionCode, NetFn, Privilege};
use serde::{Deserialize, Serialize};

use super::filter::{Actions, Filter};
use super::{PefProvider, Platform};
use crate::commands::set_in_progress::{self, SetState};
use crate::model::parameter_updates::Parameters;
use crate::request::command::{Registrar, Resource};
use crate::request::context::Context;

/// `80h`: parameter not supported. `82h`: read-only.
const NOT_SUPPORTED: CompletionCode = CompletionCode(0x80);
const READ_ONLY: CompletionCode = CompletionCode(0x82);
/// Present revision 1, oldest compatible revision 1.
const REVISION: u8 = 0x11;

/// Entries of the tables.
pub(super) const FILTERS: u8 = 16;
pub(super) const POLICIES: u8 = 16;
const STRINGS: u8 = 8;
/// Bytes of one block of an alert string, and how many blocks there are.
const BLOCK: usize = 16;
const BLOCKS: u8 = 4;

/// Control bits (parameter 1): PEF is on; it waits after a start; alerts wait after a start.
pub(super) const PEF_ON: u8 = 0x01;
pub(super) const START_UP_DELAY: u8 = 0x04;
pub(super) const ALERT_START_UP_DELAY: u8 = 0x08;
const CONTROL_BITS: u8 = 0x0f;

/// State file `pef.json`: the parameters.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default, rename_all = "kebab-case")]
pub struct PefParameters {
    pub(super) control: u8,
    pub(super) actions: u8,
    pub(super) start_up_delay: u8,
    pub(super) alert_start_up_delay: u8,
    filters: BTreeMap<u8, Filter>,
    policies: BTreeMap<u8, Policy>,
    /// Whether traps contain this GUID instead of the system GUID, and the GUID.
    guid: (bool, [u8; 16]),
    string_keys: BTreeMap<u8, [u8; 2]>,
    strings: BTreeMap<u8, Vec<u8>>,
    /// The record that was handled last.
    pub(super) processed: u16,
    /// The record that software says it handled last.
    pub(super) processed_by_software: u16,
}

impl Default for PefParameters {
    fn default() -> Self {
        Self {
            control: 0,
            actions: 0,
            start_up_delay: 60,
            alert_start_up_delay: 60,
            filters: BTreeMap::new(),
            policies: BTreeMap::new(),
            guid: (false, [0; 16]),
            string_keys: BTreeMap::new(),
            strings: BTreeMap::new(),
            processed: 0,
            processed_by_software: 0,
        }
    }
}

/// One entry of the policy table: three bytes (Table 17-4).
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub(super) struct Policy(pub(super) [u8; 3]);

impl Policy {
    /// The number that filters name.
    pub(super) const fn number(self) -> u8 {
        self.0[0] >> 4
    }

    pub(super) const fn is_enabled(self) -> bool {
        self.0[0] & 0x08 != 0
    }

    /// 0: always; 1: unless the one before succeeded; 2: as 1, and then no more of the set.
    pub(super) const fn rule(self) -> u8 {
        self.0[0] & 0x07
    }

    pub(super) const fn channel(self) -> u8 {
        self.0[1] >> 4
    }

    pub(super) const fn destination(self) -> u8 {
        self.0[1] & 0x0f
    }

    /// Whether the string goes by the filter too, and the number of the string or of its set.
    const fn string(self) -> (bool, u8) {
        (self.0[2] & 0x80 != 0, self.0[2] & 0x7f)
    }
}

impl PefParameters {
    /// All filters and their numbers.
    pub(super) fn filters(&self) -> impl Iterator<Item = (u8, &Filter)> {
        self.filters.iter().map(|(number, filter)| (*number, filter))
    }

    /// The alert string that a policy has for a filter (Table 17-4, byte 4; Table 30-6, parameter 12): the one
    /// it names, or that of its set whose key is this filter. Empty if there is no such string.
    pub(super) fn string_of(&self, policy: Policy, filter: u8) -> Vec<u8> {
        let (by_filter, number) = policy.string();
        if !by_filter {
            return self.string(number);
        }
        let key = [filter, number];
        let mut keys = self.string_keys.iter();
        let found = keys.find(|(_, of)| of.map(|part| part & 0x7f) == key);
        found.map_or_else(Vec::new, |(string, _)| self.string(*string))
    }

    /// An alert string, up to its end.
    pub(super) fn string(&self, number: u8) -> Vec<u8> {
        let text = self.strings.get(&number).into_iter().flatten();
        text.copied().take_while(|byte| *byte != 0).collect()
    }

    /// The enabled policies with this number, in their order.
    pub(super) fn policies(&self, number: u8) -> impl Iterator<Item = Policy> {
        let of_number = move |policy: &Policy| policy.is_enabled() && policy.number() == number;
        self.policies.values().copied().filter(of_number)
    }

    /// The GUID that traps contain instead of the system GUID.
    pub(super) fn guid(&self) -> Option<[u8; 16]> {
        self.guid.0.then_some(self.guid.1)
    }

    fn get(&self, parameter: u8, set: u8, block: u8) -> Result<Vec<u8>, CompletionCode> {
        Ok(match parameter {
            1 => vec![self.control],
            2 => vec![self.actions],
            3 => vec![self.start_up_delay],
            4 => vec![self.alert_start_up_delay],
            5 => vec![FILTERS],
            6 => [&[set][..], &self.filter(set)?.0].concat(),
            7 => vec![set, self.filter(set)?.0[0]],
            8 => vec![POLICIES],
            9 => {
                let policy = self.policies.get(&in_table(set, POLICIES)?);
                [&[set][..], &policy.copied().unwrap_or_default().0].concat()
            }
            10 => [&[u8::from(self.guid.0)][..], &self.guid.1].concat(),
            11 => vec![STRINGS],
            12 => {
                let keys = self.string_keys.get(&string(set)?).copied();
                [&[set][..], &keys.unwrap_or_default()].concat()
            }
            13 => {
                let at = block_at(block)?;
                let text = self.strings.get(&string(set)?).map(Vec::as_slice).unwrap_or_default();
                // A whole block always, as clients expect it: the text ends at the first zero.
                let mut bytes = [0; BLOCK];
                for (byte, character) in bytes.iter_mut().zip(text.iter().skip(at)) {
                    *byte = *character;
                }
                [&[set, block][..], &bytes].concat()
            }
            _ => return Err(NOT_SUPPORTED),
        })
    }

    fn set(&mut self, parameter: u8, value: &Remaining) -> Result<(), CompletionCode> {
        match parameter {
            1 => self.control = within(value.decode()?, CONTROL_BITS)?,
            2 => self.actions = within(value.decode()?, Actions::SUPPORTED)?,
            3 => self.start_up_delay = value.decode()?,
            4 => self.alert_start_up_delay = value.decode()?,
            5 | 8 | 11 => return Err(READ_ONLY),
            6 => {
                let (number, filter): (u8, [u8; Filter::LENGTH]) = value.decode()?;
                let number = in_table(number & 0x7f, FILTERS)?;
                if !Filter::is_settable(filter[0]) {
                    return Err(CompletionCode::INVALID_DATA_FIELD);
                }
                self.filters.insert(number, Filter(filter));
            }
            7 => {
                let (number, configuration): (u8, u8) = value.decode()?;
                let number = in_table(number & 0x7f, FILTERS)?;
                if !Filter::is_settable(configuration) {
                    return Err(CompletionCode::INVALID_DATA_FIELD);
                }
                self.filters.entry(number).or_default().0[0] = configuration;
            }
            9 => {
                let (number, policy): (u8, [u8; 3]) = value.decode()?;
                let number = in_table(number & 0x7f, POLICIES)?;
                self.policies.insert(number, Policy(policy));
            }
            10 => {
                let (used, guid): (u8, [u8; 16]) = value.decode()?;
                self.guid = (within(used, 1)? == 1, guid);
            }
            12 => {
                let (set, keys): (u8, [u8; 2]) = value.decode()?;
                self.string_keys.insert(string(set & 0x7f)?, keys);
            }
            13 => {
                let (set, block, bytes): (u8, u8, Vec<u8>) = value.decode()?;
                self.set_string(string(set & 0x7f)?, block_at(block)?, &bytes)?;
            }
            _ => return Err(NOT_SUPPORTED),
        }
        Ok(())
    }

    fn set_string(&mut self, set: u8, at: usize, bytes: &[u8]) -> Result<(), CompletionCode> {
        if bytes.len() > BLOCK {
            return Err(CompletionCode::REQUEST_LENGTH_INVALID);
        }
        let text = self.strings.entry(set).or_default();
        text.resize(text.len().max(at + bytes.len()), 0);
        if let Some(place) = text.get_mut(at..at + bytes.len()) {
            place.copy_from_slice(bytes);
        }
        Ok(())
    }

    fn filter(&self, number: u8) -> Result<Filter, CompletionCode> {
        let filter = self.filters.get(&in_table(number, FILTERS)?);
        Ok(filter.copied().unwrap_or_default())
    }
}

/// The number of a table's entry, from 1.
fn in_table(number: u8, entries: u8) -> Result<u8, CompletionCode> {
    let is_there = (1..=entries).contains(&number);
    is_there.then_some(number).ok_or(CompletionCode::PARAMETER_OUT_OF_RANGE)
}

/// The number of an alert string; 0 is the volatile one.
pub(super) fn string(number: u8) -> Result<u8, CompletionCode> {
    let is_there = number <= STRINGS;
    is_there.then_some(number).ok_or(CompletionCode::PARAMETER_OUT_OF_RANGE)
}

/// Where a block of an alert string begins; blocks count from 1.
fn block_at(block: u8) -> Result<usize, CompletionCode> {
    let index = in_table(block, BLOCKS)? - 1;
    Ok(usize::from(index) * BLOCK)
}

fn within(value: u8, bits: u8) -> Result<u8, CompletionCode> {
    let fits = value & !bits == 0;
    fits.then_some(value).ok_or(CompletionCode::INVALID_DATA_FIELD)
}

impl<P: Platform> PefProvider<P> {
    #[rustfmt::skip] // one line a command
    pub(super) fn register_configuration(self: &Arc<Self>, table: &mut Registrar<'_>) {
        use Privilege::{Administrator, Operator};
        let mut rows = table.rows(NetFn::SENSOR_EVENT, self);
        rows.add(0x13, Operator, "Get PEF Configuration Parameters", Self::get_pef_configuration_parameters);
        let mut rows = rows.changing(Resource::PEF);
        rows.add(0x12, Administrator, "Set PEF Configuration Parameters", Self::set_pef_configuration_parameters);
    }

    /// Set PEF Configuration Parameters (IPMI v2.0 §30.3). Each change takes effect at once; there is nothing
    /// to commit.
    ///
    /// # Errors
    ///
    /// - `80h` for a parameter that is not supported, `82h` for one that is read-only.
    /// - `81h` when a set is begun while another is in progress.
    /// - `C9h` for an entry that a table does not have, `CCh` for a value that a parameter does not.
    async fn set_pef_configuration_parameters(
        self: Arc<Self>,
        context: Context,
        parameter: (Bits<7>, bool),
        value: Remaining,
    ) -> Result<(), CompletionCode> {
        let (parameter, updates) = (parameter.0.value(), &self.deps.updates);
        if parameter == 0 {
            let (progress, of) = (SetState::decode(&value)?, Parameters::Pef);
            return set_in_progress::set(updates, &*self.platform, of, &context, progress).await;
        }
        updates.extend(Parameters::Pef, (&context).into());
        // Events that were logged while PEF was off are not acted on when it is enabled.
        let newest = self.newest();
        self.parameters
            .try_update(|stored| {
                let was_on = stored.control & PEF_ON != 0;
                stored.set(parameter, &value)?;
                if !was_on && stored.control & PEF_ON != 0 {
                    stored.processed = newest;
                }
                Ok::<_, CompletionCode>(())
            })
            .await?;
        self.changed.notify_one();
        Ok(())
    }

    /// Get PEF Configuration Parameters (IPMI v2.0 §30.4): revision, and unless only that is asked for, the
    /// parameter.
    ///
    /// # Errors
    ///
    /// `80h` for a parameter that is not supported, `C9h` for an entry that a table does not have.
    async fn get_pef_configuration_parameters(
        self: Arc<Self>,
        context: Context,
        parameter: (Bits<7>, bool),
        set: u8,
        block: u8,
    ) -> Result<(u8, Vec<u8>), CompletionCode> {
        let (parameter, revision_only) = parameter;
        if revision_only {
            return Ok((REVISION, Vec::new()));
        }
        let value = match parameter.value() {
            0 => {
                let updates = &self.deps.updates;
                vec![
                    set_in_progress::get(updates, &*self.platform, Parameters::Pef, &context).await,
                ]
            }
            parameter => self.parameters.get().get(parameter, set, block)?,
        };
        Ok((REVISION, value))
    }
}
