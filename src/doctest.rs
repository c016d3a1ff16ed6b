// The first line of each doctest that starts a process in namespaces. If the caller may not make any, like
// an ordinary user without user namespaces, the doctest prints a line instead of failing.
{
    use std::io::Write;
    use std::process::{Command, Stdio};

    let can_unshare = |user: &[&str]| {
        let mut unshare = Command::new("unshare");
        unshare.args(user).args(["--mount", "--pid", "--fork", "true"]);
        // Without unshare(1) the doctest itself has to show it.
        let status = unshare.stderr(Stdio::null()).status();
        status.map_or(true, |status| status.success())
    };
    if !can_unshare(&[]) && !can_unshare(&["--user", "--map-root-user"]) {
        // The output of a passing doctest is not shown, so the line goes to the parent's standard error.
        let parent = format!("/proc/{}/fd/2", std::os::unix::process::parent_id());
        if let Ok(mut parent) = std::fs::OpenOptions::new().append(true).open(parent) {
            let _ = parent.write_all(b"left out: no user namespaces here\n");
        }
        std::process::exit(0);
    }
}
