//! The commands that targetclid is ever sent: the only place where their text is made.
//!
//! Paths are absolute, for the daemon's current directory is whatever the last client left. No command is made of
//! anything but words and numbers (R9).

use actors::model::{Step, Word, WordError};
use actors::ports::LioError;

/// A request is what one `recv` of the daemon returns, so it has to arrive in one piece (facts 2.1).
pub const LONGEST_COMMAND: usize = 4095;

/// The line of one command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command(String);

impl Command {
    /// Takes the line, if it fits one request.
    pub fn new(line: String) -> Result<Self, LioError> {
        let (length, limit) = (line.len(), LONGEST_COMMAND);
        if length > limit { Err(LioError::TooLong { length, limit }) } else { Ok(Command(line)) }
    }

    /// The harmless one: it answers which version the daemon is of, and changes nothing. (`cd /` would not be harmless:
    /// it writes root's preferences, and whoever reads them at that moment dies of an empty file.)
    pub(super) fn greeting() -> Self {
        Command("/ version".to_owned())
    }

    /// The daemon reads its tree anew, from the root.
    pub(crate) fn refresh() -> Self {
        Command("/ refresh".to_owned())
    }

    /// Writes the save file; with `backup`, targetclid first keeps a copy of the old one.
    ///
    /// The file is always named: that it is the one we compare with must not depend on what the daemon thinks the
    /// default is. Where it is the default, the daemon still makes its backups, as it compares the names.
    pub(crate) fn save(file: &Word, backup: bool) -> Result<Self, LioError> {
        let file = if backup { file.to_string() } else { not_the_default(file) };
        Command::new(format!("/ saveconfig savefile={file}"))
    }

    /// The line itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Our TPG, as targetcli's tree names it.
#[derive(Clone, Debug)]
pub struct Target {
    iqn: Word,
    tpg: u16,
}

/// Why an IQN cannot be part of a command.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum IqnError {
    /// It is not a valid token.
    #[error(transparent)]
    Word(#[from] WordError),
    /// It can be a parameter, but not a folder of targetcli's tree: the path would end before this character.
    #[error("character {0:?} cannot be part of a path in targetcli's tree")]
    Path(char),
}

impl Target {
    /// Takes the target's name and the TPG's tag.
    pub fn new(iqn: &str, tpg: u16) -> Result<Self, IqnError> {
        Ok(Target { iqn: folder(iqn)?, tpg })
    }

    /// The line that asks for this change.
    pub fn change(&self, step: &Step) -> Result<Command, LioError> {
        let Target { iqn, tpg } = self;
        Command::new(match step {
            Step::DeleteLun { lun, .. } => format!("/iscsi/{iqn}/tpg{tpg}/luns delete {lun}"),
            Step::DeleteBackstore { name, .. } => format!("/backstores/fileio delete {name}"),
            Step::CreateBackstore { name, file, wwn } => {
                format!("/backstores/fileio create name={name} file_or_dev={file} write_back=false wwn={wwn}")
            }
            Step::EnableModelAlias { name } => {
                format!("/backstores/fileio/{name} set attribute emulate_model_alias=1")
            }
            // Whatever is to be mapped: what targetcli maps here can be written to. See `map_lun`.
            Step::CreateLun { lun, name, map_to_acls: _ } => format!(
                "/iscsi/{iqn}/tpg{tpg}/luns create storage_object=/backstores/fileio/{name} lun={lun} \
                 add_mapped_luns=false"
            ),
            // The daemon's tree never has what it did not finish itself: without the refresh it has no such object. If
            // the refresh fails, nothing is deleted.
            Step::DiscardBackstore { name, .. } => {
                format!("/backstores/fileio refresh%/backstores/fileio delete {name}")
            }
            Step::DiscardLun { lun } => format!("/iscsi/{iqn}/tpg{tpg}/luns delete {lun}"),
        })
    }

    /// The line that maps a LUN of the TPG to the node ACL of an initiator, which sees it under this number; `None` if
    /// its name is not a valid token. Write protected: `prod_mode_write_protect` means nothing to what targetcli maps. The
    /// refresh: ACLs may have been made since the daemon read its tree.
    pub fn map_lun(&self, initiator: &str, lun: u16, number: u16) -> Option<Command> {
        let (initiator, acls) =
            (folder(initiator).ok()?, format!("/iscsi/{}/tpg{}/acls", self.iqn, self.tpg));
        let create = format!("create mapped_lun={number} tpg_lun_or_backstore=lun{lun} write_protect=1");
        Command::new(format!("{acls} refresh%{acls}/{initiator} {create}")).ok()
    }
}

/// A word that can be a folder of targetcli's tree.
fn folder(name: &str) -> Result<Word, IqnError> {
    let name = Word::try_from(name)?;
    match name.as_str().chars().find(|c| "/@+~".contains(*c)) {
        Some(unfit) => Err(IqnError::Path(unfit)),
        None => Ok(name),
    }
}

/// The same file by another name. The daemon makes backups only if the name is letter by letter its default.
fn not_the_default(save_file: &Word) -> String {
    match save_file.as_str().rsplit_once('/') {
        Some((folder, file)) => format!("{folder}/./{file}"),
        None => format!("./{save_file}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use support::targetclid::Transcript;

    fn word(text: &str) -> Word {
        Word::try_from(text).unwrap()
    }

    fn line(step: &Step) -> String {
        let target = Target::new("iqn.2023-06.csm.iscsi:vm1", 1).unwrap();
        let command = target.change(step).unwrap();
        command.as_str().to_owned()
    }

    #[test]
    fn every_change_is_a_request_that_the_real_daemon_has_answered() {
        let recorded = Transcript::recorded();
        let known = |line: &str| recorded.first.iter().chain(&recorded.second).any(|e| e.request == line);
        let a = || word("aaaa00000000001");
        let steps = [
            Step::CreateBackstore {
                name: a(),
                file: word("/var/lib/cps-local/boot-images/PE/a.squashfs"),
                wwn: word("0000000000000000000000000000001"),
            },
            Step::EnableModelAlias { name: a() },
            Step::CreateLun { lun: 300, name: a(), map_to_acls: false },
            Step::DeleteLun { lun: 7, name: a() },
            Step::DeleteBackstore { name: word("0d1e00000000001"), wwn: a() },
        ];
        for step in steps {
            assert!(known(&line(&step)), "{}", line(&step));
        }
        assert!(known(Command::greeting().as_str()));
    }

    #[test]
    fn m10_the_real_daemon_has_discarded_half_made_objects_by_these_requests() {
        let recorded = Transcript::half_made();
        let (a, file) = (word("aaaa00000000001"), word("/var/lib/cps-local/boot-images/PE/a.squashfs"));
        let create = line(&Step::CreateBackstore {
            name: a.clone(),
            file: file.clone(),
            wwn: word(&format!("{:031}", 1)),
        });
        assert_eq!(
            recorded.replies(&line(&Step::DeleteBackstore { name: a.clone(), wwn: a.clone() }))[0],
            "No storage object named aaaa00000000001.\n",
            "the daemon does not know it"
        );
        assert_eq!(recorded.replies(&create).len(), 2);
        assert!(recorded.replies(&create)[0].contains("already exists"), "as long as it is there");
        assert_eq!(recorded.replies(&create)[1], "Created fileio aaaa00000000001 with size 8192\n");
        let discard = recorded.replies(&line(&Step::DiscardBackstore { name: a.clone(), file })).concat();
        assert_eq!(discard, "Deleted storage object aaaa00000000001.\n");

        let lun = line(&Step::CreateLun { lun: 300, name: a, map_to_acls: false });
        let without = "Broken LUN in configFS, no storage object\n";
        assert_eq!(recorded.replies(&lun)[1..], [without, without, "Created LUN 300.\n"]);
        assert_eq!(
            recorded.replies(&line(&Step::DiscardLun { lun: 9 })),
            ["Deleted LUN 9.\n", "Invalid LUN\n"]
        );
    }

    #[test]
    fn m15_r10_a_lun_is_mapped_by_a_request_of_its_own_that_protects_it() {
        let target = Target::new("iqn.2023-06.csm.iscsi:vm1", 1).unwrap();
        let map = |initiator: &str, lun, number| target.map_lun(initiator, lun, number).unwrap();
        let recorded = Transcript::acls();
        let initiator = "iqn.2023-06.csm.iscsi:vm1-initiator";
        let reply = |lun, number| recorded.replies(map(initiator, lun, number).as_str())[0];
        assert_eq!(reply(21, 21), "Created Mapped LUN 21.\n");
        assert_eq!(reply(300, 300), "Mapped LUN must be 0 to 255\n");
        assert_eq!(reply(300, 0), "Created Mapped LUN 0.\n");
        assert_eq!(target.map_lun("iqn.a/b", 1, 1), None);
        // Never by targetcli itself, which maps without protection.
        let create = |map_to_acls| line(&Step::CreateLun { lun: 12, name: word("a"), map_to_acls });
        assert_eq!(create(true), create(false));
    }

    #[test]
    fn refresh_and_saveconfig_work_at_the_root_wherever_the_session_is() {
        assert_eq!(Command::refresh().as_str(), "/ refresh");
        let file = word("/etc/rtslib-fb-target/saveconfig.json");
        let save = |backup| Command::save(&file, backup).unwrap().as_str().to_owned();
        assert_eq!(save(true), "/ saveconfig savefile=/etc/rtslib-fb-target/saveconfig.json");
        let alone = "/ saveconfig savefile=/etc/rtslib-fb-target/./saveconfig.json";
        assert_eq!(save(false), alone);
    }

    #[test]
    fn r9_an_iqn_at_which_a_path_would_end_is_refused() {
        for (iqn, unfit) in [("iqn.a@b", '@'), ("iqn.a/b", '/'), ("iqn.a+b", '+'), ("iqn.a~b", '~')] {
            assert_eq!(Target::new(iqn, 1).unwrap_err(), IqnError::Path(unfit));
        }
        assert_eq!(Target::new("iqn a", 1).unwrap_err(), IqnError::Word(WordError::Character(' ')));
    }

    #[test]
    fn a_command_that_might_arrive_in_two_pieces_is_refused() {
        assert!(Command::new("a".repeat(LONGEST_COMMAND)).is_ok());
        let refused = Command::new("a".repeat(LONGEST_COMMAND + 1));
        assert!(matches!(refused, Err(LioError::TooLong { length: 4096, limit: 4095 })));
    }

    proptest! {
        #[test]
        fn r9_a_backstore_of_any_words_is_created_by_one_command_of_six_parts(
            name in "[A-Za-z0-9_./:+@~-]{1,255}",
            file in "[A-Za-z0-9_./:+@~-]{1,255}",
            wwn in "[A-Za-z0-9_./:+@~-]{1,255}",
        ) {
            let step = Step::CreateBackstore { name: word(&name), file: word(&file), wwn: word(&wwn) };
            let line = line(&step);
            prop_assert_eq!(line.split(' ').count(), 6);
            prop_assert!(!line.contains('%') && !line.contains("size="));
        }
    }
}
