"""The program of the process that talks to Ray: `python child_main.py CONNECTION`; see `child`."""

import sys

if __name__ == "__main__":
    from multiprocessing.connection import Connection

    end = Connection(int(sys.argv[1]))
    sys.path[:], sys.argv[:] = end.recv()

    from lthray.driver.child import serve  # found by the path above

    serve(end)
