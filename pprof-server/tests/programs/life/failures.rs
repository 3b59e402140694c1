//! Ways for a start to fail that are not in the environment: the system refuses something.

use std::fs;

/// Makes the system refuse what `failure` says to this thread or process from now on.
pub(crate) fn refuse(failure: &str) {
    let (what, amount) = failure.split_once(':').unwrap_or((failure, "0"));
    let amount: u64 = amount.parse().unwrap();
    match what {
        "nothing" => {}
        "threads" => refuse_threads(),
        // The process may have as many descriptors as are open, and `amount` more.
        "descriptors" => limit(libc::RLIMIT_NOFILE, descriptors() + amount),
        // The process may have as many MiB as it has, and `amount` more.
        "memory" => {
            wait_for_threads();
            limit(libc::RLIMIT_AS, address_space_bytes() + (amount << 20));
        }
        // SAFETY: the call changes what new files may be, and nothing else.
        "umask" => drop(unsafe { libc::umask(amount as libc::mode_t) }),
        // The process goes on as a user without special rights, with a umask that forbids the most.
        "umask-of-nobody" => unsafe {
            // SAFETY: the calls take numbers, and touch nothing else of the process.
            assert_eq!((libc::setgid(65534), libc::setuid(65534)), (0, 0));
            libc::umask(0o777);
        },
        _ => panic!("{failure}"),
    }
}

/// Waits until the program's other threads sleep. A runtime's workers may only just begin, and the standard library
/// ends the program where a thread that begins gets no memory: that would not be the profiler's fault.
fn wait_for_threads() {
    // SAFETY: the call takes nothing, and only returns a number.
    let own = unsafe { libc::gettid() }.to_string();
    let is_asleep = |task: fs::DirEntry| {
        let stat = fs::read_to_string(task.path().join("stat")).unwrap_or_default();
        task.file_name() == own.as_str()
            || stat.rsplit_once(") ").is_none_or(|(_, rest)| rest.starts_with('S'))
    };
    let mut quiet = 0;
    for _ in 0..2000 {
        let all = fs::read_dir("/proc/self/task").unwrap().flatten().all(is_asleep);
        quiet = if all { quiet + 1 } else { 0 };
        if quiet == 5 {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
}

fn limit(resource: libc::__rlimit_resource_t, value: u64) {
    let mut limits = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the calls write the limits, and read them.
    unsafe {
        assert_eq!(libc::getrlimit(resource, &raw mut limits), 0);
        limits.rlim_cur = value;
        assert_eq!(libc::setrlimit(resource, &raw const limits), 0);
    }
}

/// Returns the lowest descriptor that is free; all lower ones are open.
fn descriptors() -> u64 {
    let is_open = |number: &i32| {
        // SAFETY: the call asks for flags.
        unsafe { libc::fcntl(*number, libc::F_GETFD) >= 0 }
    };
    (0..).take_while(is_open).count() as u64
}

fn address_space_bytes() -> u64 {
    let pages = fs::read_to_string("/proc/self/statm").unwrap();
    pages.split(' ').next().unwrap().parse::<u64>().unwrap() * 4096
}

/// Makes each call by which this thread starts a thread fail, as it does where a limit of threads is reached. (That
/// limit does not hold for root.)
fn refuse_threads() {
    let filter = |code: u32, jump: (u8, u8), k: u32| libc::sock_filter {
        code: code as u16,
        jt: jump.0,
        jf: jump.1,
        k,
    };
    let load = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
    let equal = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
    let answer = libc::BPF_RET | libc::BPF_K;
    let mut program = [
        filter(load, (0, 0), 0),
        filter(equal, (1, 0), libc::SYS_clone as u32),
        filter(equal, (0, 1), libc::SYS_clone3 as u32),
        filter(answer, (0, 0), libc::SECCOMP_RET_ERRNO | libc::EAGAIN as u32),
        filter(answer, (0, 0), libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
    // SAFETY: the kernel copies the program.
    unsafe {
        assert_eq!(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
        assert_eq!(libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program), 0);
    }
}
