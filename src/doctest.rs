// The first line of each doctest that starts a process in namespaces. Who may make none here, as an
// ordinary user whose kernel, container or profile has no user namespaces, gets a line, not a failure.
{
    use std::io::Write;
    use std::process::{Command, Stdio};

    let can_unshare = |user: &[&str]| {
        let mut unshare = Command::new("unshare");
        unshare.args(user).args(["--mount", "--pid", "--fork", "true"]);
        // Where there is no unshare(1) to ask, the doctest itself shows it.
        let status = unshare.stderr(Stdio::null()).status();
        status.map_or(true, |status| status.success())
    };
    if !can_unshare(&[]) && !can_unshare(&["--user", "--map-root-user"]) {
        // What a doctest that passes prints is not shown, so it goes to where its parent prints.
        let parent = format!("/proc/{}/fd/2", std::os::unix::process::parent_id());
        if let Ok(mut parent) = std::fs::OpenOptions::new().append(true).open(parent) {
            let _ = parent.write_all(b"left out: no user namespaces here\n");
        }
        std::process::exit(0);
    }
}
