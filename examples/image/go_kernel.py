"""A Go kernel for Jupyter: hands each cell to a session of yaegi, the Go interpreter that Debian has."""
import re

import pexpect
from ipykernel.kernelapp import IPKernelApp
from ipykernel.kernelbase import Kernel

END = "the cell ends here"
PROMPT = re.compile(r"^(> )+")
ADDRESS = re.compile(r"^: 0x[0-9a-f]+$")      # yaegi's value of an import or a func: nothing to show
ERROR = re.compile(r"^\d+:\d+: ")


class Go(Kernel):
    implementation, implementation_version, banner = "yaegi", "1", "Go (yaegi)"
    language_info = {"name": "go", "mimetype": "text/x-go", "file_extension": ".go"}

    def __init__(self, **options):
        super().__init__(**options)
        self.begin()

    def begin(self):
        self.yaegi = pexpect.spawn("yaegi", encoding="utf-8", codec_errors="replace", echo=False, timeout=None)
        self.yaegi.delaybeforesend = None      # else 50 ms a line
        self.yaegi.expect_exact("> ")

    def do_execute(self, code, silent, *_, **__):
        failed = None
        try:
            for line in [*code.splitlines(), f'"{END}"']:
                self.yaegi.sendline(line)
            while END not in (line := PROMPT.sub("", self.yaegi.readline().rstrip("\r\n"))):
                failed = failed or (line if ERROR.match(line) else None)
                if not line and not self.yaegi.isalive():
                    raise pexpect.EOF("")
                if not silent and not ADDRESS.match(line):
                    self.say("stderr" if failed else "stdout", line)
        except (KeyboardInterrupt, pexpect.EOF):   # a cell that lacks a bracket waits for it: interrupt
            failed = "yaegi was ended: a new session begins, without the names of the old one."
            self.say("stderr", failed)
            self.yaegi.close(force=True)
            self.begin()
        if failed:
            return {"status": "error", "ename": "Go", "evalue": failed, "traceback": []}
        return {"status": "ok", "execution_count": self.execution_count, "payload": [], "user_expressions": {}}

    def say(self, stream, line):
        self.send_response(self.iopub_socket, "stream", {"name": stream, "text": line + "\n"})

    def do_shutdown(self, restart):
        self.yaegi.close(force=True)
        return {"status": "ok", "restart": restart}


if __name__ == "__main__":
    IPKernelApp.launch_instance(kernel_class=Go)
