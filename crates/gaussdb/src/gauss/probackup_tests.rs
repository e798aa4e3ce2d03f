//! What gs_probackup says, read from fixtures.

use super::{
    fixtures::{fixture, text},
    probackup::*,
    words::Word,
};

fn catalogue(name: &str) -> Vec<InstanceBackups> {
    let (status, text) = fixture(name);
    let Show::Catalogue(instances) = read_show(status, text) else { panic!("{name}") };
    instances
}

#[test]
fn the_catalogue_is_read_in_the_layouts_before_and_after_6_0_db_1() {
    let new = catalogue("F12d_probackup_show_json_v6");
    let [InstanceBackups { instance, backups }] = new.as_slice() else { panic!() };
    assert_eq!(instance, "dn");
    let full = Backup {
        id: "SDGQ2T".to_owned(),
        parent: None,
        mode: "FULL".to_owned(),
        wal: "STREAM".to_owned(),
        from_replica: true,
        status: Word::Known(BackupStatus::Ok),
        start_lsn: "0/1B000028".parse().unwrap(),
        stop_lsn: "0/1B0003C8".parse().unwrap(),
        start_time: "2024-05-14 11:05:41+08".to_owned(),
        end_time: Some("2024-05-14 11:06:12+08".to_owned()),
        data_bytes: Some(612_368_384),
        wal_bytes: Some(16_777_216),
    };
    assert_eq!(*backups, std::slice::from_ref(&full));
    assert!(full.is_verified());

    let old = catalogue("F12e_probackup_show_json_v5");
    let [child, parent] = old[0].backups.as_slice() else { panic!() };
    assert_eq!(*parent, full);
    assert_eq!((child.parent.as_deref(), child.mode.as_str()), (Some("SDGQ2T"), "PTRACK"));
    // Complete, and nobody has read it back.
    assert!(child.status.is(BackupStatus::Done) && !child.is_verified());
}

#[test]
fn a_catalogue_that_is_cut_off_odd_or_of_a_failed_tool_is_not_read_db_1() {
    let whole = text("F12d_probackup_show_json_v6");
    let cut = whole.len() / 2;
    let odd = [whole.replace("\"true\"", "\"maybe\""), whole.replace("0/1B000028", "here"), whole[..cut].to_owned()];
    for text in odd.iter().map(String::as_str).chain(["", "{}", "[1]", "no such file"]) {
        let Show::Unknown(_) = read_show(0, text) else { panic!("{text}") };
    }
    let Show::Unknown(_) = read_show(1, whole) else { panic!("with status 1") };
    let Show::Failed(why) = read_show(1, "ERROR: Instance 'dn' does not exist in this backup catalog\n") else {
        panic!()
    };
    assert!(why.as_str().starts_with("Instance 'dn'"));
    let noise = format!("gs_probackup: log file count 51, exceeds 50, remove the oldest ones\n{whole}");
    assert_eq!(read_show(0, &noise), read_show(0, whole));
    assert_eq!(read_show(0, "[]\n"), Show::Catalogue(Vec::new()));
    let Show::Catalogue(empty) = read_show(0, "{\n    \"backup_info\": [\n    ]\n}\n") else { panic!() };
    assert!(empty.is_empty());
}

#[test]
fn a_backup_is_complete_by_its_last_line_and_validated_by_another_db_1() {
    let of = |name| {
        let (status, text) = fixture(name);
        read_backup(status, text)
    };
    let taken = |validated, from_standby| {
        TakeBackup::Completed(TakenBackup { id: "SDGQ2T".to_owned(), validated, from_standby })
    };
    assert_eq!(of("F12g_probackup_backup_ok"), taken(true, false));
    assert_eq!(of("F12h_probackup_backup_standby_not_validated"), taken(false, true));
    let TakeBackup::Failed(why) = of("F12i_probackup_backup_failed") else { panic!() };
    assert!(why.as_str().starts_with("There is not enough remaining disk space"));
    let TakeBackup::Unknown(_) = read_backup(1, text("F12g_probackup_backup_ok")) else { panic!("with status 1") };
    let TakeBackup::Unknown(_) = read_backup(0, "INFO: Start backing up files\n") else { panic!("without an end") };
}

#[test]
fn a_validation_that_looked_at_nothing_is_not_valid_with_status_0_db_1() {
    let of = |name| {
        let (status, text) = fixture(name);
        read_validate(status, text)
    };
    assert_eq!(of("F12j_probackup_validate_ok"), Validate::Valid(vec!["SDGQ2T".to_owned()]));
    for name in ["F12k_probackup_validate_corrupt", "F12l_probackup_validate_all_corrupt"] {
        let Validate::Corrupt(_) = of(name) else { panic!("{name}") };
        let Validate::Corrupt(_) = read_validate(0, text(name)) else { panic!("{name} with status 0") };
    }
    let Validate::Skipped(_) = of("F12m_probackup_validate_skipped_rc0") else { panic!() };
    let Validate::Unknown(_) = read_validate(0, "INFO: All backups are valid\n") else { panic!("of none at all") };
}

#[test]
fn a_restore_is_complete_by_its_last_line_db_1() {
    let of = |name| {
        let (status, text) = fixture(name);
        read_restore(status, text)
    };
    let restored = RestoredBackup { id: "SDGQ2T".to_owned(), validated: true };
    assert_eq!(of("F12n_probackup_restore_ok"), RestoreBackup::Completed(restored.clone()));
    assert_eq!(of("F12o_probackup_restore_not_empty"), RestoreBackup::NotEmpty);
    let declined = text("F12n_probackup_restore_ok")
        .replace("INFO: Backup SDGQ2T is valid.", "WARNING: Backup SDGQ2T is used without validation.");
    let unproved = RestoredBackup { validated: false, ..restored };
    assert_eq!(read_restore(0, &declined), RestoreBackup::Completed(unproved));
    let RestoreBackup::Failed(_) = read_restore(0, "ERROR: Backup SDGQ2T is corrupt.\n") else { panic!() };
}
