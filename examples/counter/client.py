"""Asks the counter in another process: python client.py PORT add AMOUNT, or python client.py PORT watch"""

import asyncio
import sys

from counter import AddToCounter, WatchCounter

from actorkube.runtime import System
from actorkube.runtime.tcp import TcpTransport
from protocols.errors import Answer, AskError


async def main(port: int, what: str, *amount: str) -> None:
    system = System("client", TcpTransport(key=b"a secret of both", book={"server": ("127.0.0.1", port)}))
    await system.start()
    counter = system.ref("server/counter")
    try:
        if what == "add":
            print((await system.ask(counter, AddToCounter(int(amount[0])))).number)
        else:
            async with system.stream(counter, WatchCounter()) as values:
                async for value in values:
                    print(value.number, flush=True)
    except (Answer, AskError) as error:
        print(f"{type(error).__name__}: {error}")
    await system.stop()


asyncio.run(main(int(sys.argv[1]), *sys.argv[2:]))
