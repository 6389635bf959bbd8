//! The files that `serve` writes its addresses to: nothing else is written over or removed, and nothing of another server.

use std::fs;
use std::process::Command;

use crate::program::{Folder, photometa, said, serve_as};

#[test]
fn serve_leaves_a_file_alone_that_has_no_address_in_it() {
    let (folder, data) = (Folder::made("notes"), Folder::new("notes-data"));
    let notes = folder.0.join("notes.txt");
    fs::write(&notes, "call mother\n").unwrap();
    for (flag, variable) in
        [("--address-file", "PHOTOMETA_ADDRESS_FILE"), ("--admin-address-file", "PHOTOMETA_ADMIN_ADDRESS_FILE")]
    {
        for path in [&notes, &folder.0] {
            let mut command = photometa(&data.0);
            command.args(["serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", flag]).arg(path);

            let output = command.output().unwrap();

            assert_eq!(output.status.code(), Some(2), "{}", said(&output));
            assert!(said(&output).contains("is left alone"), "{}", said(&output));
            assert!(said(&output).contains(&format!("set {variable} ")), "{}", said(&output));
        }
    }
    assert_eq!(fs::read_to_string(&notes).unwrap(), "call mother\n");
    assert_eq!(folder.files(), ["notes.txt"]);
    assert!(!data.0.exists(), "nothing was tried");
}

#[test]
fn serve_that_is_refused_leaves_the_addresses_of_the_one_that_runs() {
    let (folder, data) = (Folder::made("found"), Folder::new("found-data"));
    let (file, admin_file) = (folder.0.join("address"), folder.0.join("admin"));
    let with_files = || {
        let mut command = photometa(&data.0);
        command.env("PHOTOMETA_ADMIN_LISTEN", "127.0.0.1:0").env("PHOTOMETA_ADMIN_ADDRESS_FILE", &admin_file);
        command.stdout(std::process::Stdio::null());
        command
    };
    let mut running = serve_as(with_files(), &data.0);
    // Its own has been taken away by what starts it.
    fs::write(&file, &running.address).unwrap();
    let before = fs::read_to_string(&admin_file).unwrap();

    let mut second = with_files();
    let second = second.args(["serve", "--listen", "127.0.0.1:0", "--address-file"]).arg(&file).output().unwrap();

    assert!(said(&second).contains("already running"), "{}", said(&second));
    assert_eq!(fs::read_to_string(&file).unwrap(), running.address);
    assert_eq!(fs::read_to_string(&admin_file).unwrap(), before);
    // Another server's by now: not ours to remove.
    fs::write(&admin_file, "127.0.0.1:1").unwrap();
    assert!(Command::new("kill").args(["-TERM", &running.child.id().to_string()]).status().unwrap().success());
    assert!(running.child.wait().unwrap().success());
    assert_eq!(fs::read_to_string(&admin_file).unwrap(), "127.0.0.1:1");
}

#[test]
fn serve_names_the_setting_of_a_file_that_cannot_be_written() {
    let (folder, data) = (Folder::made("unwritable"), Folder::new("unwritable-data"));
    fs::write(folder.0.join("file"), "").unwrap();
    for path in ["file/address", "nowhere/address"] {
        let mut command = photometa(&data.0);
        command.args(["serve", "--listen", "127.0.0.1:0", "--address-file"]).arg(folder.0.join(path));

        let output = command.output().unwrap();

        assert_eq!(output.status.code(), Some(1));
        assert!(said(&output).contains("see PHOTOMETA_ADDRESS_FILE"), "{}", said(&output));
    }
    assert!(!data.0.exists(), "a database was started for nothing");
}
