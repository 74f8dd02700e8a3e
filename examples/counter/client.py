"""Asks the counter in another process: python client.py PORT add AMOUNT, or python client.py PORT watch"""

import asyncio
import sys

from counter import AddToCounter, CounterValue, WatchCounter

from actorkube.runtime import System
from actorkube.runtime.log import configure
from actorkube.runtime.tcp import TcpTransport
from protocols.errors import Answer, AskError, NotSent


async def main(port: int, what: str, *amount: str) -> None:
    configure("warning")
    system = System("client", TcpTransport(key=b"a secret of both", book={"server": ("127.0.0.1", port)}))
    await system.start()
    try:
        if what == "add":
            print((await ask(system, AddToCounter(int(amount[0])))).number)
        else:
            async with system.stream(system.ref("server/counter"), WatchCounter()) as values:
                async for value in values:
                    print(value.number, flush=True)
    except (Answer, AskError) as error:
        print(f"{type(error).__name__}: {error}")
    await system.stop()


async def ask(system: System, request: AddToCounter) -> CounterValue:
    """NotSent says that it has not happened, so it may be asked again: the server may just be starting."""
    for _ in range(50):
        try:
            return await system.ask(system.ref("server/counter"), request)
        except NotSent:
            await asyncio.sleep(0.1)
    return await system.ask(system.ref("server/counter"), request)


asyncio.run(main(int(sys.argv[1]), *sys.argv[2:]))
