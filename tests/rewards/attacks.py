"""What hostile or broken reward code tries. Each defines attack(), which the tests call inside the sandbox."""

# Attempts to reach something outside. attack() returns True if it got there; an exception means that it was refused.
# {file}, {folder}, {port}, {datagrams}, {socket} and {parent} are filled in by tests/rewards/outside.py: things that an
# ordinary process reaches.
ESCAPES = {
    "run a shell": "import os\ndef attack(): return os.system('true') == 0",
    "run a program": "def attack():\n    import subprocess\n    return subprocess.run(['/bin/true']).returncode == 0",
    "spawn a program": "import os\ndef attack(): return os.posix_spawn('/bin/true', ['true'], {}) > 0",
    "replace itself by a program": (
        "import os\ndef attack():\n    os.execv('/bin/sh', ['sh', '-c', 'echo True; exit 0'])"
    ),
    "read the users of the system": "def attack(): return 'root' in open('/etc/passwd').read()",
    "read a file that all may read": "def attack(): return 'secret-in-a-file' in open('{file}').read()",
    "read through os.open": "import os\ndef attack(): return os.read(os.open('{file}', 0), 6) == b'secret'",
    "list a folder": "import os\ndef attack(): return len(os.listdir('{folder}')) > 0",
    "stat a file": "import os\ndef attack(): return os.stat('{file}').st_size > 0",
    "find a secret in its environment": "import os\ndef attack(): return 'LORACRAFT_CANARY' in os.environ",
    "read its environment from /proc": "def attack(): return 'CANARY' in open('/proc/self/environ').read()",
    "read its parent's environment": "def attack(): return len(open('/proc/{parent}/environ').read()) > 0",
    "read its parent's command line": "def attack(): return len(open('/proc/{parent}/cmdline').read()) > 0",
    "write a file": "def attack(): return open('{folder}/written', 'w').write('x') == 1",
    "delete a file": "import os\ndef attack(): return os.unlink('{folder}/victim') is None",
    "make a link": "import os\ndef attack(): return os.symlink('/etc/passwd', '{folder}/link') is None",
    "change rights": "import os\ndef attack(): return os.chmod('{file}', 0o777) is None",
    "connect by TCP": (
        "import socket\ndef attack():\n    socket.create_connection(('127.0.0.1', {port}), 2)\n    return True"
    ),
    "send by UDP": (
        "import socket\ndef attack():\n    return socket.socket(2, 2).sendto(b'x', ('127.0.0.1', {datagrams})) == 1"
    ),
    "connect to a unix socket": (
        "import socket\ndef attack():\n    return socket.socket(socket.AF_UNIX).connect('{socket}') is None"
    ),
    "make a socket pair": "import socket\ndef attack(): return len(socket.socketpair()) == 2",
    "fork": (
        "import os\ndef attack():\n    child = os.fork()\n    if child == 0:\n        os._exit(0)\n"
        "    return os.waitpid(child, 0)[0] == child"
    ),
    "start a thread": "import _thread\ndef attack(): return _thread.start_new_thread(lambda: None, ()) > 0",
    "call system() of the C library": ("import ctypes\ndef attack(): return ctypes.CDLL(None).system(b'true') == 0"),
    "call socket() by its number": ("import ctypes\ndef attack(): return ctypes.CDLL(None).syscall(41, 2, 1, 0) >= 0"),
    "open a file by its number": (
        "import ctypes\ndef attack(): return ctypes.CDLL(None).syscall(2, b'{file}', 0) >= 0"
    ),
    "make memory executable": (
        "import mmap\ndef attack(): return mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_EXEC) is not None"
    ),
    "make memory executable later": (
        "import ctypes, mmap\ndef attack():\n    page = mmap.mmap(-1, 4096)\n"
        "    start = ctypes.addressof(ctypes.c_char.from_buffer(page))\n"
        "    return ctypes.CDLL(None).mprotect(ctypes.c_void_p(start), 4096, 5) == 0"
    ),
    "fork by the number of the call": (
        "import ctypes, os\ndef attack():\n    child = ctypes.CDLL(None).syscall(57)\n"
        "    if child == 0:\n        os._exit(0)\n    return child > 0"
    ),
    "fork as the process that starts batches may": (
        "import ctypes, os\ndef attack():\n    child = ctypes.CDLL(None).syscall(56, 0x01200011, 0, 0, 0, 0)\n"
        "    if child == 0:\n        os._exit(0)\n    return child > 0"
    ),
    "walk its memory for a secret": (
        "import gc\ndef attack():\n    wanted = '-'.join(['secret', 'in', 'the', 'environment'])\n"
        "    for held in gc.get_objects():\n        inside = gc.get_referents(held)\n"
        "        inside += [value for one in inside if type(one) is dict for value in one.values()]\n"
        "        for value in inside:\n"
        "            if type(value) is str and value is not wanted and wanted in value: return True\n"
        "            if type(value) is bytes and wanted.encode() in value: return True\n"
        "    return False"
    ),
    "walk the frames below for a secret": (
        "import os, sys\ndef attack():\n    frame = sys._getframe()\n    while frame:\n"
        "        for held in frame.f_globals.values():\n"
        "            if any('CANARY' in str(name) for name in getattr(getattr(held, 'environ', 0), '_data', ())):\n"
        "                return True\n"
        "        frame = frame.f_back\n    return False"
    ),
    "share memory between processes": (
        "import ctypes\ndef attack():\n    libc = ctypes.CDLL(None)\n    made = libc.shmget(0, 4096, 0o1600)\n"
        "    if made >= 0: libc.shmctl(made, 0, None)\n    return made >= 0"
    ),
    "set an alarm for later": (
        "import signal\ndef attack(): return signal.setitimer(signal.ITIMER_REAL, 60) == (0.0, 0.0)"
    ),
    "wait for the children of others": (
        "import os\ndef attack():\n    try: os.waitpid(-1, os.WNOHANG)\n"
        "    except ChildProcessError: return True\n    return True"
    ),
    "signal its parent": "import os\ndef attack(): return os.kill({parent}, 0) is None",
    "make a file in memory": "import os\ndef attack(): return os.memfd_create('x') >= 0",
    "share memory": (
        "def attack():\n    from multiprocessing import shared_memory\n"
        "    return shared_memory.SharedMemory(create=True, size=16).size >= 16"
    ),
    "import a module from disk": "def attack():\n    import wave\n    return True",
    "trace its parent": (
        "import ctypes\ndef attack(): return ctypes.CDLL(None).syscall(101, 0x4206, {parent}, 0, 0) == 0"
    ),
    "read its parent's memory": (
        "import ctypes, os\ndef attack():\n    page = ctypes.create_string_buffer(8)\n"
        "    start = int(open('/proc/{parent}/maps').read().split('-')[0], 16)\n"
        "    pair = (ctypes.c_size_t * 2)\n    mine, theirs = pair(ctypes.addressof(page), 8), pair(start, 8)\n"
        "    return ctypes.CDLL(None).process_vm_readv({parent}, mine, 1, theirs, 1, 0) == 8"
    ),
    "set up io_uring": (
        "import ctypes\ndef attack():\n    asked = ctypes.create_string_buffer(120)\n"
        "    return ctypes.CDLL(None).syscall(425, 4, asked) >= 0"
    ),
    "raise its limits": (
        "import resource\ndef attack():\n"
        "    soft, hard = resource.getrlimit(resource.RLIMIT_CORE)\n"
        "    resource.setrlimit(resource.RLIMIT_CORE, (0, hard))\n    return True"
    ),
}

# What many machines forbid to an ordinary process, too: its control may be skipped.
OFTEN_FORBIDDEN = {"trace its parent", "read its parent's memory", "set up io_uring"}

# Contained by what the process is started with, not by a lock; the last one would show itself outside only.
CONTAINED_WITHOUT_LOCKS = {
    "find a secret in its environment",
    "read its environment from /proc",
    "walk its memory for a secret",
    "walk the frames below for a secret",
    "replace itself by a program",
}

# System calls that no ordinary use needs; whether an ordinary process may call them depends on the machine, so there is
# no control for these.
RARE_CALLS = {
    "io_uring_setup": 425, "ptrace": 101, "bpf": 321, "unshare": 272, "mount": 165, "perf_event_open": 298,
    "userfaultfd": 323, "process_vm_readv": 310, "pidfd_open": 434, "keyctl": 250, "clone3": 435, "init_module": 175,
    "setuid": 105, "prctl": 157, "personality": 135, "open_by_handle_at": 304, "kexec_load": 246,
    "alarm": 37, "sendmsg": 46, "recvmsg": 47, "clone": 56, "fork": 57, "vfork": 58, "wait4": 61, "semget": 64,
    "msgget": 68, "setrlimit": 160, "timer_create": 222, "mq_open": 240, "prlimit64": 302, "seccomp": 317,
    "memfd_create": 319, "execveat": 322, "landlock_restrict_self": 446, "memfd_secret": 447,
}  # fmt: skip

# Attempts to hang, exhaust, crash or confuse. None may outlive its time or harm the next batch.
DENIALS = {
    "loop": "def attack():\n    while True: pass",
    "loop that swallows everything": (
        "def attack():\n    while True:\n        try:\n            while True: pass\n        except BaseException: pass"
    ),
    "sleep": "import time\ndef attack(): time.sleep(3600)",
    "8 GB at once": "def attack(): return [bytearray(8 << 30)]",
    "memory bit by bit": "def attack():\n    kept = []\n    while True: kept.append(bytearray(1 << 20))",
    "thread bomb": "import _thread\ndef attack():\n    while True: _thread.start_new_thread(attack, ())",
    "fork bomb": "import os\ndef attack():\n    while True: os.fork()",
    "20 million values": "def attack(): return [1.0] * 20_000_000",
    "endless iterator": "import itertools\ndef attack(): return itertools.repeat(1.0)",
    "100 MB printed": "def attack():\n    for _ in range(100): print('x' * (1 << 20))\n    return []",
    "garbage as an answer": (
        "import os\ndef attack():\n    for fd in range(16):\n        try: os.write(fd, b'garbage!' * 64)\n"
        "        except OSError: pass\n    while True: pass"
    ),
    "an answer of 4 GB announced": (
        "import os\ndef attack():\n    for fd in range(3, 16):\n        try: os.write(fd, b'\\xff' * 4)\n"
        "        except OSError: pass\n    while True: pass"
    ),
    "another answer forged": (
        "import os, json, struct\ndef attack():\n    body = json.dumps(dict(id=99, rewards=[1.0])).encode()\n"
        "    for fd in range(3, 16):\n        try: os.write(fd, struct.pack('<I', len(body)) + body)\n"
        "        except OSError: pass\n    return []"
    ),
    "deeply nested answer forged": (
        "import os, struct\ndef attack():\n    body = b'[' * 200_000\n    body = struct.pack('<I', len(body)) + body\n"
        "    for fd in range(3, 16):\n        left = body\n        try:\n"
        "            while left: left = left[os.write(fd, left):]\n"
        "        except OSError: pass\n    return []"
    ),
    "NaN": "def attack(): return [float('nan')]",
    "infinity": "def attack(): return [float('inf')]",
    "text": "def attack(): return ['1.0']",
    "a boolean": "def attack(): return [True]",
    "too few": "def attack(): return []",
    "nothing": "def attack(): return None",
    "None for each": "def attack(): return [None]",
    "a number too big": "def attack(): return [10 ** 400]",
    "a number far too big": "def attack(): return [1e300]",
    "an object that claims to be a number": (
        "class Evil(float):\n    def __float__(self):\n        while True: pass\ndef attack(): return [Evil(1)]"
    ),
    "10 MB of error": "def attack(): raise ValueError('x' * 10_000_000)",
    "an error with control characters": "def attack(): raise ValueError('\\x00\\x1b[31m\\ud800\\u202e')",
    "an error that never says what it is": (
        "class Evil(Exception):\n    def __str__(self):\n        while True: pass\ndef attack(): raise Evil"
    ),
    "deep recursion": "def attack(): return attack()",
    "C stack overflow": (
        "import sys\ndef attack():\n    sys.setrecursionlimit(10 ** 8)\n    deep = []\n"
        "    for _ in range(10 ** 6): deep = [deep]\n    return [float(len(repr(deep)))] * 2"
    ),
    "exit": "import os\ndef attack(): os._exit(0)",
    "polite exit": "def attack(): raise SystemExit(0)",
    "segmentation fault": "import ctypes\ndef attack(): return ctypes.string_at(0)",
    "catastrophic pattern": "import re\ndef attack(): return [bool(re.match('(a+)+$', 'a' * 60 + 'b'))]",
    "ignored signals": (
        "import signal\ndef attack():\n    for number in range(1, 32):\n"
        "        try: signal.signal(number, signal.SIG_IGN)\n        except (OSError, ValueError): pass\n"
        "    while True: pass"
    ),
    "a broken json module": "import json\ndef attack():\n    json.dumps = lambda *a, **k: '[]'\n    return [1.0]",
    "a channel that writes nothing": (
        "import os\ndef attack():\n    os.write = lambda fd, data: len(data)\n    return [1.0]"
    ),
    "a hang inside the C of Python": "def attack(): return [9 ** 9 ** 9]",
    "the text of a huge integer": "def attack(): return [float(str(10 ** 100_000))]",
    "an iterator that never gives": (
        "class Evil:\n    def __iter__(self): return self\n    def __next__(self):\n        while True: pass\n"
        "def attack(): return Evil()"
    ),
    "a value whose class can't be asked": (
        "class Meta(type):\n    def __getattribute__(cls, name): raise SystemExit\n"
        "class Evil(metaclass=Meta): pass\ndef attack(): return [Evil()]"
    ),
    "lone surrogates as values": "def attack(): return ['\\ud800']",
    "a closed channel": "import os\ndef attack():\n    os.closerange(0, 16)\n    return [1.0]",
}
