//! From a seed to a script.

use bailiwick_types::{Action, Plane};

use crate::dice::Dice;
use crate::script::{Act, Aim, Ask, Caller, Mishap, Script, Step, Whose};

/// How large a history is.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    /// The most tenants; the fewest are two.
    pub tenants_max: usize,
    /// About how many steps.
    pub steps: usize,
}

impl Default for Size {
    fn default() -> Self {
        Self { tenants_max: 5, steps: 150 }
    }
}

/// What makes things, so that there is something to ask about. Each new tenant begins with these.
const BEGINNING: &[Action] = &[
    Action::MemberCreate,
    Action::MemberCredentialIssue,
    Action::AccountCreate,
    Action::KeyIssue,
    Action::SecretWrite,
    Action::BindingCreate,
    Action::PolicyPut,
    Action::InvariantPut,
    Action::SecretWrite,
];

/// What an operator does about one tenant. Acts that end something are undone a few steps later, most of the time.
const ABOUT: &[Action] = &[
    Action::TenantShow,
    Action::TenantShow,
    Action::TenantUpdate,
    Action::QuotaShow,
    Action::QuotaSet,
    Action::TenantSuspend,
    Action::TenantResume,
    Action::TenantSeal,
    Action::TenantUnseal,
    Action::TenantDelete,
    Action::TenantCreate,
];

/// What the installation's operator does.
const PLATFORM: &[Action] = &[
    Action::OperatorSelfShow,
    Action::PlatformHealth,
    Action::TenantList,
    Action::TenantList,
    Action::GuardrailPut,
    Action::GuardrailPut,
    Action::GuardrailList,
    Action::GuardrailShow,
    Action::GuardrailDelete,
    Action::OperatorCreate,
    Action::OperatorList,
    Action::OperatorShow,
    Action::OperatorUpdate,
    Action::OperatorDelete,
    Action::OperatorCredentialIssue,
    Action::OperatorCredentialList,
    Action::OperatorCredentialRevoke,
    Action::PlatformLedgerRead,
    Action::PlatformLedgerProve,
    Action::PlatformLedgerExport,
    Action::RootKeyRotate,
    Action::InstallationSeal,
];

/// What can be done with a thing that was made, by whoever made it. Without this hardly anything would be found again.
fn companions(action: Action) -> &'static [Action] {
    match action {
        Action::MountCreate => &[Action::MountShow, Action::MountUpdate, Action::SecretWrite, Action::MountDelete],
        Action::PolicyPut => &[Action::PolicyShow, Action::PolicyDelete],
        Action::InvariantPut => &[Action::InvariantShow, Action::InvariantCheck, Action::InvariantDelete],
        Action::SecretWrite => &[
            Action::SecretReveal,
            Action::SecretReveal,
            Action::SecretDescribe,
            Action::SecretConfigure,
            Action::SecretPatch,
            Action::SecretDelete,
            Action::SecretUndelete,
            Action::SecretDestroy,
            Action::SecretPurge,
        ],
        Action::GuardrailPut => &[Action::GuardrailShow, Action::GuardrailDelete],
        Action::PlatformInvariantPut => &[Action::PlatformInvariantShow, Action::PlatformInvariantDelete],
        Action::OperatorCredentialIssue => &[Action::OperatorCredentialRevoke],
        _ => &[],
    }
}

struct Generator {
    dice: Dice,
    size: usize,
    tenants: usize,
    steps: Vec<Step>,
    now_ms: i64,
    /// What follows from what was done: after so many steps.
    later: Vec<(usize, Whose, Act)>,
}

/// The history of this seed.
pub fn script(seed: u64, size: Size) -> Script {
    let mut dice = Dice::new(seed);
    let tenants = 2 + dice.below(size.tenants_max - 1);
    let mut generator = Generator { dice, size: size.steps, tenants, steps: Vec::new(), now_ms: 0, later: Vec::new() };
    generator.run();
    Script { seed, tenants, steps: generator.steps }
}

impl Generator {
    fn run(&mut self) {
        let late = self.dice.below(self.tenants);
        for tenant in 0..self.tenants {
            // One of them comes when the others have been there for a while.
            let at = if tenant == late { self.size / 3 } else { tenant };
            let act = self.ask(Action::TenantCreate, Caller::First, Aim::Own);
            self.later.push((at, Whose::About(tenant), act));
            for (number, action) in BEGINNING.iter().enumerate() {
                let after = at + 1 + number * self.tenants + self.dice.below(self.tenants);
                let act = self.ask(*action, Caller::First, Aim::Own);
                self.later.push((after, Whose::Tenant(tenant), act));
            }
        }
        for (at, action) in (3..).zip([Action::OperatorCreate, Action::OperatorCredentialIssue]) {
            let act = self.ask(action, Caller::First, Aim::Own);
            self.later.push((at, Whose::Nobody, act));
        }
        while self.steps.len() < self.size {
            let is_due = |(at, _, _): &(usize, Whose, Act)| *at <= self.steps.len();
            match self.later.iter().position(is_due) {
                Some(at) => {
                    let (_, whose, act) = self.later.remove(at);
                    self.push(whose, act, Mishap::None);
                }
                None => self.any(),
            }
        }
    }

    /// Plans something with what was just made: the same pick finds the same thing.
    fn accompany(&mut self, whose: Whose, ask: Ask) {
        let with = companions(ask.action);
        if with.is_empty() || ask.caller != Caller::First || ask.aim != Aim::Own {
            return;
        }
        if matches!(whose, Whose::Nobody) {
            // The platform's own things are few: each is looked at and taken away again.
            for action in with {
                let variant = self.dice.byte();
                self.follows(whose, Act::Ask(Ask { action: *action, variant, ..ask }));
            }
            return;
        }
        if self.dice.percent(40) {
            return;
        }
        let (action, variant) = (self.dice.pick(with), self.dice.byte());
        self.follows(whose, Act::Ask(Ask { action, variant, ..ask }));
    }

    fn push(&mut self, whose: Whose, act: Act, mishap: Mishap) {
        if let Act::Ask(ask) = act {
            self.accompany(whose, ask);
        }
        self.now_ms += match self.dice.below(100) {
            0 => 26 * 3_600_000,
            1 | 2 => 3_600_000,
            3..=12 => 60_000,
            _ => 1 + self.dice.below(2_000) as i64,
        };
        let number = self.steps.len() as u32;
        self.steps.push(Step { number, at_ms: self.now_ms, whose, act, mishap });
    }

    fn follows(&mut self, whose: Whose, act: Act) {
        let after = self.steps.len() + 2 + self.dice.below(6);
        self.later.push((after, whose, act));
    }

    fn ask(&mut self, action: Action, caller: Caller, aim: Aim) -> Act {
        Act::Ask(Ask { action, caller, aim, pick: self.dice.byte(), variant: self.dice.byte() })
    }

    fn any(&mut self) {
        let tenant = self.dice.below(self.tenants);
        match self.dice.below(100) {
            0..=66 => self.of_tenant(tenant),
            67..=76 => self.about(tenant),
            77..=88 => self.platform(),
            89..=92 => {
                let act = Act::Open(self.dice.byte());
                self.push(Whose::Nobody, act, Mishap::None);
            }
            93..=95 => self.push(Whose::Nobody, Act::Jobs, Mishap::None),
            96 => self.push(Whose::Nobody, Act::Restart, Mishap::None),
            97 => self.push(Whose::Nobody, Act::Crash, Mishap::None),
            _ => {
                self.push(Whose::Nobody, Act::DiskFull, Mishap::None);
                self.follows(Whose::Nobody, Act::DiskFree);
            }
        }
    }

    fn of_tenant(&mut self, tenant: usize) {
        let whose = Whose::Tenant(tenant);
        if self.dice.percent(6) {
            let act = Act::Again(self.dice.byte());
            let mishap = self.mishap(5);
            return self.push(whose, act, mishap);
        }
        let action = match self.dice.below(100) {
            // At the operators' door.
            0..=4 => self.of_plane(Plane::Platform),
            5..=24 => self.dice.pick(BEGINNING),
            _ => self.of_plane(Plane::Tenant),
        };
        let is_lethal = matches!(action, Action::KeyringSeal | Action::SelfRevoke);
        if is_lethal && self.dice.percent(50) {
            return;
        }
        let (caller, aim) = (self.caller(), self.aim(tenant));
        let act = self.ask(action, caller, aim);
        let mishap = self.mishap(14);
        self.push(whose, act, mishap);
        if action == Action::KeyringSeal {
            let act = self.ask(Action::TenantUnseal, Caller::First, Aim::Own);
            self.follows(Whose::About(tenant), act);
        }
    }

    fn about(&mut self, tenant: usize) {
        let whose = Whose::About(tenant);
        let action = if self.dice.percent(12) { self.of_plane(Plane::Tenant) } else { self.dice.pick(ABOUT) };
        let is_deletion = action == Action::TenantDelete;
        if is_deletion && self.dice.percent(60) {
            return;
        }
        let act = self.ask(action, Caller::First, Aim::Own);
        let mishap = self.mishap(10);
        self.push(whose, act, mishap);
        let undone: &[Action] = match action {
            Action::TenantSuspend => &[Action::TenantResume],
            Action::TenantSeal => &[Action::TenantUnseal],
            // Saved, and then resumed; or not saved.
            Action::TenantDelete if self.dice.percent(70) => &[Action::TenantResume, Action::TenantResume],
            _ => &[],
        };
        for action in undone {
            let act = self.ask(*action, Caller::First, Aim::Own);
            self.follows(whose, act);
        }
    }

    fn platform(&mut self) {
        // Whatever the table has besides is asked for too.
        let is_other = |action: &&Action| {
            action.plane() == Plane::Platform && !ABOUT.contains(action) && !PLATFORM.contains(action)
        };
        let others: Vec<Action> = Action::ALL.iter().filter(is_other).copied().collect();
        let has_others = !others.is_empty() && self.dice.percent(20);
        let action = if has_others { self.dice.pick(&others) } else { self.dice.pick(PLATFORM) };
        let is_for_all = matches!(action, Action::InstallationSeal | Action::RootKeyRotate);
        if is_for_all && self.dice.percent(60) {
            return;
        }
        let caller = match self.dice.below(10) {
            0 => self.caller(),
            1 => Caller::Some(self.dice.byte()),
            _ => Caller::First,
        };
        let aim = if self.dice.percent(10) { Aim::Absent } else { Aim::Own };
        let act = self.ask(action, caller, aim);
        self.push(Whose::Nobody, act, Mishap::None);
        if action == Action::InstallationSeal {
            // A start unseals.
            self.follows(Whose::Nobody, Act::Restart);
        }
    }

    fn of_plane(&mut self, plane: Plane) -> Action {
        let all: Vec<Action> = Action::ALL.iter().copied().filter(|action| action.plane() == plane).collect();
        self.dice.pick(&all)
    }

    fn caller(&mut self) -> Caller {
        match self.dice.below(100) {
            0..=64 => Caller::First,
            65..=92 => Caller::Some(self.dice.byte()),
            93..=96 => Caller::Forged,
            _ => Caller::Nobody,
        }
    }

    fn aim(&mut self, tenant: usize) -> Aim {
        let other = (tenant + 1 + self.dice.below(self.tenants - 1)) % self.tenants;
        match self.dice.below(100) {
            0..=69 => Aim::Own,
            70..=79 => Aim::Absent,
            80..=89 => Aim::Theirs(other),
            _ => Aim::AtTheirs(other),
        }
    }

    fn mishap(&mut self, percent: usize) -> Mishap {
        if !self.dice.percent(percent) {
            return Mishap::None;
        }
        let call = self.dice.below(5) as u8;
        match self.dice.below(6) {
            0 | 1 => Mishap::Fail(call),
            2 => Mishap::LoseCommit,
            3 => Mishap::Cancel(call, self.dice.percent(50)),
            _ => Mishap::Hold(call, 1 + self.dice.below(8) as u8),
        }
    }
}
