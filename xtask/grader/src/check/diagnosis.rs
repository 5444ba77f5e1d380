//! The diagnoses, by name. Their texts are data, `xtask/exercises/diagnoses.md`, which the book also shows.

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::catalog;

macro_rules! diagnoses {
    ($($(#[$id:meta])? $name:ident,)*) => {
        /// What may be wrong with a program. A diagnosis `NoUtsNamespace` has the id `no-uts-namespace`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        #[allow(missing_docs, reason = "diagnoses.md describes each")]
        pub enum Diagnosis {
            $($(#[$id])? $name,)*
        }

        impl Diagnosis {
            /// Every diagnosis.
            pub const ALL: &[Diagnosis] = &[$(Diagnosis::$name,)*];
        }
    };
}

diagnoses! {
    NotAProgram,
    NoContract,
    NeverRan,
    ExecutedRun,
    LanguageError,
    PreexecFailed,
    BadAddress,
    ErrnoLost,
    HasThreads,
    NoParentNumber,
    FoundOnTheHost,
    ExecWithoutPath,
    ImportsAfterChroot,
    InitGone,
    NestedTooDeep,
    WordsLost,
    WrongCommand,
    InputLost,
    OutputSwallowed,
    OutputReordered,
    StreamsJoined,
    DidNotWait,
    TooLong,
    ForksWithoutEnd,
    WritesWithoutEnd,
    RenamedHost,
    KilledOnTheHost,
    ProcessesLeft,
    MountsLeft,
    IsolatedNothing,
    ThreadOutside,
    Late,
    NoUtsNamespace,
    NotNamed,
    BytesNotStr,
    NoFork,
    NoPidNamespace,
    NoMountNamespace,
    MountsShared,
    NotAMountPoint,
    HostMadePrivate,
    NoChroot,
    AnotherRoot,
    HostTreeInside,
    ChrootWithoutChdir,
    ChdirBeforeChroot,
    SelfGone,
    ExeIsTheInterpreter,
    NothingToMountOn,
    MountInvalid,
    OverlayInvalid,
    ProcNotMounted,
    ProcBeforeChroot,
    ProcOfTheHost,
    ProcWritable,
    ProcSysWritable,
    StatusLost,
    CollectedAlready,
    SignalLost,
    StoppedIsNotEnded,
    SignalsBlocked,
    SignalsIgnored,
    NotFoundStatus,
    ZombiesKept,
    SignalsCounted,
    BusyWaiting,
    WaitsForOrphans,
    EndedWithOrphan,
    OrphansLeft,
    DeathSignalCleared,
    TermIgnored,
    EnvironmentLeaked,
    #[serde(rename = "environment-of-process-1")]
    EnvironmentOfProcess1,
    EnvironmentOfAHelper,
    NoPath,
    DevNullOpened,
    DescriptorsLeaked,
    ForeignFileOpen,
    NoDevNull,
    DevNullIsAFile,
    DevOfTheHost,
    DevLeft,
    MknodRefused,
    FlagUnknown,
    FlagIgnored,
    NameTooLong,
    VolumeMissing,
    VolumeOutside,
    VolumeNotADirectory,
    MountsBelowMissing,
    MountedOnTheHost,
    VolumeWritable,
    VolumeWritableElsewhere,
    HostReadOnly,
    NoEscape,
    NoShellThere,
    NotStatic,
    StillEscapes,
    PivotRefused,
    ProcRefused,
    OldRootBusy,
    OldRootReachable,
    OldRootCovered,
    NoUserNamespace,
    NotMapped,
    MapRefused,
    GroupsNotDenied,
    NoLimit,
    LimitTooHigh,
    CgroupLeft,
    CgroupWithoutTheFlag,
    RootfsChanged,
    RootfsReadOnly,
    DeletedFilesReturn,
    UpperLeft,
    NoNetworkNamespace,
    NoLoopback,
    NoLink,
    LinkNotThereYet,
    LinkNameTaken,
    BothEndsInside,
    NotReachable,
    LinkLeft,
    TermNotForwarded,
    #[serde(rename = "process-1-ended")]
    Process1Ended,
    TermKept,
    TermDropped,
    TermBlocked,
    TermToAll,
    TermRepeated,
    StoppedTooSoon,
    NeverKilled,
    TerminalLost,
    TerminalStolen,
    NoTerminal,
    CapabilitiesKept,
    CapabilitiesInherited,
    CapabilitiesMissing,
    PrivilegesGainable,
    EnterUnknown,
    NamespaceNotJoined,
    EnteredWithoutFork,
    RootNotEntered,
    CgroupNotJoined,
    StillRoot,
    RootComesBack,
    GroupKept,
    UserBeforeGroups,
    GroupsKept,
    NoIpcNamespace,
    NoMqueue,
    ForeignMqueue,
    RunKilled,
    NoLayers,
    LayerMissing,
    LayersSwapped,
    NotAnOverlay,
    WhiteoutShown,
    WhiteoutIgnored,
    OpaqueIgnored,
    ImageChanged,
    LayersLeft,
    NoSysfs,
    ForeignSysfs,
    SysWritable,
    SysFlags,
    NotPublished,
    PublishedLocally,
    PublishedElsewhere,
    OneAtATime,
    ConnectionCut,
    PortLeft,
    NoRouteOut,
}

impl Diagnosis {
    /// Returns its name for machines.
    pub fn id(self) -> String {
        serde_json::to_value(self).ok().and_then(|id| Some(id.as_str()?.to_owned())).unwrap_or_default()
    }

    /// Returns its text, and the section of the book that explains it.
    ///
    /// # Errors
    /// If `diagnoses.md` can't be read, or doesn't have it.
    pub fn entry(self) -> Result<&'static exercises::Diagnosis> {
        let id = self.id();
        let entry = catalog::diagnoses()?.iter().find(|it| it.id == id);
        entry.with_context(|| format!("{} has no `{id}`", exercises::DIAGNOSES))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn diagnoses_md_has_the_same_diagnoses() {
        let named: BTreeSet<String> = Diagnosis::ALL.iter().map(|it| it.id()).collect();
        let described: BTreeSet<String> = catalog::diagnoses().unwrap().iter().map(|it| it.id.clone()).collect();
        let unpaired: Vec<_> = named.symmetric_difference(&described).collect();
        assert!(unpaired.is_empty(), "only one of diagnosis.rs and diagnoses.md has these: {unpaired:?}");
    }
}
