"""What hostile or broken reward code tries. Each defines attack(), which the tests call inside the sandbox."""

# Attempts to reach something outside. attack() returns True if it got there; an exception means that it was refused.
# {file}, {folder}, {port}, {socket} and {parent} are filled in by the test: things that an ordinary process reaches.
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
        "import socket\ndef attack():\n    return socket.socket(2, 2).sendto(b'x', ('127.0.0.1', {port})) == 1"
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
    "signal its parent": "import os\ndef attack(): return os.kill({parent}, 0) is None",
    "make a file in memory": "import os\ndef attack(): return os.memfd_create('x') >= 0",
    "share memory": (
        "def attack():\n    from multiprocessing import shared_memory\n"
        "    return shared_memory.SharedMemory(create=True, size=16).size >= 16"
    ),
    "import a module from disk": "def attack():\n    import sqlite3\n    return True",
    "raise its limits": (
        "import resource\ndef attack():\n"
        "    soft, hard = resource.getrlimit(resource.RLIMIT_CORE)\n"
        "    resource.setrlimit(resource.RLIMIT_CORE, (0, hard))\n    return True"
    ),
}

# System calls that no ordinary use needs; whether an ordinary process may call them depends on the machine, so there is
# no control for these.
RARE_CALLS = {
    "io_uring_setup": 425, "ptrace": 101, "bpf": 321, "unshare": 272, "mount": 165, "perf_event_open": 298,
    "userfaultfd": 323, "process_vm_readv": 310, "pidfd_open": 434, "keyctl": 250, "clone3": 435, "init_module": 175,
    "setuid": 105, "prctl": 157, "personality": 135, "open_by_handle_at": 304, "kexec_load": 246,
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
        "    os.write(4, struct.pack('<I', len(body)) + body)\n    return []"
    ),
    "deeply nested answer forged": (
        "import os, struct\ndef attack():\n    body = b'[' * 200_000\n    body = struct.pack('<I', len(body)) + body\n"
        "    while body: body = body[os.write(4, body):]\n    return []"
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
    "a closed channel": "import os\ndef attack():\n    os.closerange(0, 16)\n    return [1.0]",
}
