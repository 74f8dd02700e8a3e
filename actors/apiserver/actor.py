"""The API server: the only way to the store, for people over REST and for actors by messages, with one pipeline behind.

It has no state that it could not lose: everything is in the store, and its watch cache is read again at every start.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from functools import cache, partial
from typing import TYPE_CHECKING

from actorkube.runtime import LATER, Actor, Mailbox, Outlet
from actorkube.runtime.reply import ReplyHandle
from actors.apiserver.access.authorizer import Authorizer
from actors.apiserver.access.keeper import PolicyKeeper
from actors.apiserver.access.policy import default_policy
from actors.apiserver.admission.chain import Chain
from actors.apiserver.admission.connecting import Connecting
from actors.apiserver.admission.dynamic.meeting import Meeting
from actors.apiserver.admission.dynamic.mutations import Mutations
from actors.apiserver.admission.dynamic.policies import Policies
from actors.apiserver.admission.dynamic.webhooks import Webhooks
from actors.apiserver.admission.passing import Passing
from actors.apiserver.admission.pod_topology_labels import is_on as labelled_by_node
from actors.apiserver.admission.quota.keeper import QuotaKeeper
from actors.apiserver.admission.quota.quotas import Quotas
from actors.apiserver.admission.stages import Admission
from actors.apiserver.admission.stored import Stored, StoredInCache
from actors.apiserver.aggregation.door import FarDoor
from actors.apiserver.aggregation.keeper import ApiServiceKeeper
from actors.apiserver.aggregation.remotes import Remotes
from actors.apiserver.allocate import Ranges
from actors.apiserver.audit.door import DoorAudit
from actors.apiserver.audit.log import AuditLog
from actors.apiserver.audit.trail import Trail
from actors.apiserver.bindings import Bindings
from actors.apiserver.bootstrap import cluster_info, first_objects, proxy_trust
from actors.apiserver.cache import Cache
from actors.apiserver.callers import SELF, Caller, of_system
from actors.apiserver.calls import Call
from actors.apiserver.causes import Causes
from actors.apiserver.certificates.approver import Approver
from actors.apiserver.changes import Changes
from actors.apiserver.commits import Commits
from actors.apiserver.conversions import Conversions
from actors.apiserver.custom.keeper import Keeper
from actors.apiserver.custom.served import Served
from actors.apiserver.deletion import Deletion
from actors.apiserver.door import Door
from actors.apiserver.feed import Feed
from actors.apiserver.flowcontrol.defaults import SCHEMAS
from actors.apiserver.flowcontrol.keeper import FlowKeeper
from actors.apiserver.masters import Masters
from actors.apiserver.messages import Asked
from actors.apiserver.moulds import Moulds
from actors.apiserver.outward.client import Client, HttpsClient, NoClient
from actors.apiserver.pipeline import Pipeline
from actors.apiserver.reads import Reads
from actors.apiserver.schema.resources import find
from actors.apiserver.schema.types import DEFAULT_VERSION, Types
from actors.apiserver.store import Store
from actors.apiserver.tls import FRONT_PROXY
from actors.apiserver.tokens.authenticator import TokenAuthenticator
from actors.apiserver.tokens.claims import legacy_claims
from actors.apiserver.tokens.keeper import SecretKeeper
from protocols import api
from protocols.csi import DeleteVolume
from protocols.errors import AlreadyExists, Answer, AskError, NotFound, ServiceUnavailable, TooManyRequests
from protocols.message import Done, Message
from protocols.objects import Object, name_of, namespace_of

if TYPE_CHECKING:
    from actors.apiserver.audit.config import AuditConfig
    from actors.apiserver.encryption.sealing import Encryption
    from actors.apiserver.flowcontrol.door import DoorGate
    from actors.apiserver.flowcontrol.gate import Gate, Pass
    from actors.apiserver.rest.aggregator import Aggregator
    from actors.apiserver.rest.config import RestConfig
    from actors.apiserver.tokens.issuer import Issuer
    from actors.apiserver.tokens.jwt_issuers import JwtIssuers
    from actors.apiserver.tokens.oidc_issuer import Believed

SERVICE_CIDR = "127.66.0.0/16"  # loopback addresses: a userspace proxy can listen on them without being root
_MANAGER = "kube-apiserver"
_RETRY_S = 0.2
_FIRST = "apiserver"  # of several it is the one whose address is published


class ApiServer(Actor):
    """`etcd`: the addresses of all replicas. `users`: who the systems are that are not components of the cluster.

    `rest` is None in simulation: then only actors are served.
    """

    mailbox = Mailbox(capacity=16_384)
    concurrency = 1024
    cancellable = False  # a write that has begun is carried to its end: the store, the cache and the claims agree then

    def __init__(
        self,
        etcd: Sequence[str],
        *,
        rest: RestConfig | None = None,
        service_cidr: str = SERVICE_CIDR,
        users: Mapping[str, Caller] | None = None,
        toleration_s: int = 300,
        kubernetes_version: str = "",
        alone: bool = True,
        pod_tokens: bool = False,
        audit: AuditConfig | None = None,
        encryption: Encryption | None = None,
    ) -> None:
        """`kubernetes_version`: the API that is served, such as "1.33", of those that `served_versions` gives.

        `alone`: False when other API servers serve the same store. `audit`: what is asked is written to a log.
        `encryption`: how what is stored is sealed.
        `pod_tokens`: the whole ServiceAccount plugin, for clusters whose controllers make accounts and whose containers
        can read tokens. Otherwise a pod is only given the name `default`.
        """
        self._etcd = etcd
        self._rest = rest
        self._users = users if users is not None else {}
        self._ranges = Ranges.of(service_cidr)
        self._toleration_s = toleration_s
        self._kubernetes_version = kubernetes_version
        self._alone = alone
        self._pod_tokens = pod_tokens
        self._audit_config = audit
        self._encryption = encryption
        self._audit: DoorAudit | None = None
        self._gate: Gate | None = None  # where there is REST
        self._door_gate: DoorGate | None = None
        self._serving = False

    async def on_start(self) -> None:
        """Messages wait until this returns; health is answered from the beginning."""
        causes, types = Causes(), _types(self._kubernetes_version or DEFAULT_VERSION)
        store = Store(self.ctx, self._etcd, causes, self._encryption)
        watch_cache = Cache()
        feed = Feed(self.ctx, store, watch_cache, causes)
        commits = Commits(self.ctx, store, feed, watch_cache)
        authorizer = Authorizer(watch_cache, default_policy())
        stored = StoredInCache(watch_cache)
        quotas = Quotas(watch_cache, stored, self.ctx.random)
        served = Served(watch_cache, types)
        client = self._client(stored)
        conversions = Conversions(client, self.ctx.uuid)
        admission = self._admission(stored, quotas, served, client, conversions, types, authorizer)
        passing, connecting = Passing(admission, types), Connecting(admission)
        changes = Changes(self.ctx, watch_cache, feed, commits, types, self._ranges, admission, authorizer, conversions)
        self._changes = changes
        moulds = Moulds(self.ctx, watch_cache, stored, types, admission, commits)
        oidc = self._oidc(self._rest.oidc) if self._rest is not None and self._rest.oidc else None
        tokens = TokenAuthenticator(watch_cache, lambda: self.ctx.now, *_tokens(self._rest), oidc)
        reads = Reads(watch_cache, feed)
        self._pipeline = Pipeline(
            self.ctx, reads, changes, types, served, authorizer, tokens, conversions, passing, connecting, moulds
        )
        self._door = Door(self.ctx, self._pipeline, causes)
        self._bindings = Bindings(self.ctx, watch_cache, commits, authorizer, passing, self._create_by_message)
        trail = self._trail(self._audit_config, served) if self._audit_config is not None else None
        remotes = Remotes(watch_cache, stored)
        asker = self._open_rest(self._rest, trail, remotes, stored, watch_cache) if self._rest is not None else None
        self._far_door = FarDoor(authorizer, served, remotes, asker)
        feed.start()
        await feed.loaded()
        await self._bootstrap()
        if self._rest is not None:
            masters = Masters(
                self.ctx, store, watch_cache, self._rest.address, self._write_endpoints, alone=self._alone
            )
            await self._until_stored(masters.write_endpoints)
            if not self._alone:
                self.ctx.background(masters.run(), "masters")
        await PolicyKeeper(self.ctx, watch_cache, feed, commits, changes).run()
        if self._gate is not None and served.find(SCHEMAS) is not None:
            flows = FlowKeeper(self.ctx, watch_cache, feed, commits, changes)
            await flows.prepare()
            self._gate.follow()
            from actors.apiserver.flowcontrol.door import DoorGate

            self._door_gate = DoorGate(self._gate, served)
            self.ctx.background(flows.run(), "flow schemas")
        api_services = ApiServiceKeeper(self.ctx, watch_cache, feed, stored, commits, changes, served, remotes, asker)
        await api_services.prepare()
        authorizer.follow()
        self.ctx.background(Keeper(self.ctx, watch_cache, feed, changes, served).run(), "definitions")
        self.ctx.background(QuotaKeeper(self.ctx, watch_cache, changes, quotas).run(), "quotas")
        self.ctx.background(api_services.run(), "api-services")
        self.ctx.background(Approver(self.ctx, watch_cache, changes, authorizer).run(), "certificates")
        if (issuer := tokens.issuer) is not None and self._rest is not None:
            ca_pem = self._rest.ca_file.read_bytes() if self._rest.ca_file is not None else b""

            def sign(account: Object, secret: Object) -> str:
                return issuer.sign(legacy_claims(account, secret))

            secrets = SecretKeeper(self.ctx, watch_cache, feed, changes, ca_pem, sign)
            self.ctx.background(secrets.run(), "token secrets")
        self._serving = True
        self.ctx.log.info("serving", revision=watch_cache.revision)

    def receive(self, message: Message) -> object:
        sender = self.ctx.sender
        system = sender.address.system if sender is not None else None
        caller = of_system(system, self._users)
        way = self._door_gate.admit(message, system, caller) if self._door_gate is not None else None
        if isinstance(message, api.Watch):
            if self._audit is not None:
                self._audit.begin(message, caller).started(200)
            self.ctx.background(self._open_watch(message, caller, self.ctx.outlet(), way), "open-watch")
            return LATER
        answer = self._answer(message, caller) if way is None else self._in_turn(message, caller, way)
        if self._audit is not None and isinstance(message, Asked):
            assert isinstance(answer, Awaitable)
            answer = self._audit.around(message, caller, answer)
        if way is None or way.started_at is not None:
            return answer
        assert isinstance(answer, Awaitable)  # who waits takes no place of those that this actor answers at once
        self.ctx.background(_reply(self.ctx.reply_handle(), answer), "in turn")
        return LATER

    def _answer(self, message: Message, caller: Caller) -> object:
        match message:
            case api.Get():
                return self._door_of(message.resource).get(message, caller)
            case api.List():
                return self._door_of(message.resource).list(message, caller)
            case api.Create():
                return self._door_of(message.resource).create(message, caller)
            case api.Bind():
                return self._bind(message, caller)
            case api.Update():
                return self._door_of(message.resource).update(message, caller)
            case api.Patch():
                return self._door_of(message.resource).patch(message, caller)
            case api.Delete():
                return self._door_of(message.resource).delete(message, caller)
            case api.DeleteCollection():
                return self._door_of(message.resource).delete_collection(message, caller)
            case DeleteVolume():
                return self._door.delete_volume(message, caller)
            case api.AskHistory():
                return self._door.history(message, caller)
            case api.Ready():
                return Done()
        return super().receive(message)

    async def _in_turn(self, message: Message, caller: Caller, way: Pass) -> Message:
        try:
            await way.enter()
            answer = self._answer(message, caller)
            assert isinstance(answer, Awaitable)
            found: Message = await answer
            return found
        finally:
            way.leave()

    async def _open_watch(self, message: api.Watch, caller: Caller, outlet: Outlet, way: Pass | None) -> None:
        """A watch of another API server's is one call as long as it lasts: it holds no seats even while it begins."""
        door = self._door_of(message.resource)
        try:
            if way is not None:
                await way.enter()
                if door is self._far_door:
                    way.leave()
            await door.open_watch(message, caller, outlet)
        except TooManyRequests as refusal:
            outlet.end(refusal)
        finally:
            if way is not None:
                way.leave()

    def _door_of(self, group_resource: str) -> Door | FarDoor:
        return self._far_door if self._far_door.serves(group_resource) else self._door

    def _bind(self, message: api.Bind, caller: Caller) -> Awaitable[api.BindOutcomes]:
        """What an audit is to tell of is asked one by one."""
        if self._audit is not None:
            return self._bindings.bind_one_by_one(message, caller)
        return self._bindings.bind(message, caller)

    def _create_by_message(self, message: api.Create, caller: Caller) -> Awaitable[api.Stored]:
        answer = self._door.create(message, caller)
        return answer if self._audit is None else self._audit.around(message, caller, answer)

    def _oidc(self, configs: Sequence[Believed]) -> JwtIssuers:
        from actors.apiserver.tokens.jwt_issuers import JwtIssuers  # jwt and aiohttp: only where there is one

        return JwtIssuers(configs, lambda: self.ctx.now, self.ctx.log)

    def _client(self, stored: Stored) -> Client:
        if self._rest is None:
            return NoClient()
        client = HttpsClient(stored, self.ctx.random)
        self.ctx.background(client.run(), "webhooks")
        return client

    def _admission(
        self,
        stored: Stored,
        quotas: Quotas,
        served: Served,
        client: Client,
        conversions: Conversions,
        types: Types,
        authorizer: Authorizer,
    ) -> Admission:
        meeting = Meeting(stored, served.versions, served.by_kind, conversions)
        return Admission(
            Chain(stored, self._toleration_s, self._pod_tokens, labelled_by_node(types.version)),
            Webhooks(stored, client, served.versions, self.ctx.uuid, conversions),
            Policies(stored, meeting),
            Mutations(stored, meeting, types),
            quotas,
            authorizer,
        )

    def _trail(self, config: AuditConfig, served: Served) -> Trail:
        log = AuditLog(self.ctx, config.file)
        self.ctx.background(log.run(), "audit")
        trail = Trail(config.policy, log.write, lambda: self.ctx.now)
        self._audit = DoorAudit(trail, served, self.ctx.uuid)
        return trail

    def _open_rest(
        self, config: RestConfig, trail: Trail | None, remotes: Remotes, stored: Stored, watch_cache: Cache
    ) -> Aggregator:
        """Answers health at once, and everything else when the API is open. Ends with the actor, also in a crash."""
        from actors.apiserver.flowcontrol.gate import Gate
        from actors.apiserver.rest.aggregator import Aggregator
        from actors.apiserver.rest.server import RestServer  # aiohttp: 190 ms that simulations need not pay

        aggregator = Aggregator(config, stored, self.ctx.random)
        self._gate = gate = Gate(self.ctx, watch_cache, config.seats)
        server = RestServer(self.ctx, self._pipeline, config, lambda: self._serving, remotes, aggregator, gate, trail)
        self.ctx.background(gate.run(), "priority and fairness")
        self.ctx.background(aggregator.run(), "aggregator")
        self.ctx.background(server.serve(), "rest")
        return aggregator

    async def _bootstrap(self) -> None:
        for group_resource, obj in first_objects(self._ranges.first_ip):
            await self._until_stored(partial(self._create, group_resource, obj))
        ca, proxy_ca = (self._rest.ca_file, self._rest.proxy_ca_file) if self._rest is not None else (None, None)
        if ca is not None and proxy_ca is not None:
            trust = proxy_trust(ca.read_text(), proxy_ca.read_text(), FRONT_PROXY)
            await self._until_stored(partial(self._replace, *trust))
        if ca is not None and self._rest is not None and self.ctx.self_ref.address.system == _FIRST:
            host, port = self._rest.address
            await self._until_stored(partial(self._merge, *cluster_info(ca.read_bytes(), f"https://{host}:{port}")))

    async def _until_stored(self, write: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                return await write()
            except (ServiceUnavailable, AskError) as error:
                self.ctx.log.info("waiting for the store", error=str(error))
                await self.ctx.sleep(_RETRY_S)

    async def _create(self, group_resource: str, obj: Object) -> None:
        with suppress(AlreadyExists):
            await self._pipeline.create(_own_call(group_resource, obj), {**obj})

    async def _write_endpoints(self, group_resource: str, obj: Object, gone: bool) -> None:
        if gone:
            with suppress(NotFound):
                await self._pipeline.delete(_own_call(group_resource, obj), Deletion())
            return
        await self._replace(group_resource, obj)

    async def _merge(self, group_resource: str, obj: Object) -> None:
        """What others have put into it stays; no webhook is asked, which may live in the cluster that starts here."""

        def merged(old: Object) -> Object:
            return {**old, "data": {**(old.get("data") or {}), **obj["data"]}}

        try:
            await self._changes.change(_own_call(group_resource, obj), merged, applied=True, as_is=True)
        except NotFound:
            await self._create(group_resource, obj)

    async def _replace(self, group_resource: str, obj: Object) -> None:
        try:
            await self._pipeline.update(_own_call(group_resource, obj), {**obj})
        except NotFound:
            await self._create(group_resource, obj)


async def _reply(handle: ReplyHandle, answer: Awaitable[Message]) -> None:
    try:
        handle.send(await answer)
    except (Answer, AskError) as refusal:
        handle.fail(refusal)


def _own_call(group_resource: str, obj: Object) -> Call:
    resource = find(group_resource)
    assert resource is not None, group_resource
    return Call(SELF, resource, namespace_of(obj), name_of(obj), manager=_MANAGER, untracked=True)


def _tokens(rest: RestConfig | None) -> tuple[Mapping[str, Caller], Issuer | None]:
    """The tokens that are good by configuration, and who signs others."""
    if rest is None:
        return {}, None
    if rest.account_key_file is None:
        return rest.tokens, None
    from actors.apiserver.tokens.issuer import Issuer  # jwt and cryptography: only where there are keys

    return rest.tokens, Issuer(rest.account_key_file)


@cache
def _types(version: str) -> Types:
    """Loaded once a process: a restarted API server finds them decoded."""
    return Types.load(version)
