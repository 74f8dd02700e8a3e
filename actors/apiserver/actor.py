"""The API server: the only way to the store, for people over REST and for actors by messages, with one pipeline behind.

It has no state that it could not lose: everything is in the store, and its watch cache is read again at every start.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING

from actorkube.runtime import LATER, Actor, Mailbox, Outlet
from actorkube.runtime.reply import ReplyHandle
from actors.apiserver.access.keeper import PolicyKeeper
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
from actors.apiserver.admission.stored import Stored
from actors.apiserver.aggregation.door import FarDoor
from actors.apiserver.aggregation.keeper import ApiServiceKeeper
from actors.apiserver.aggregation.remotes import Remotes
from actors.apiserver.allocate import Ranges
from actors.apiserver.audit.door import DoorAudit
from actors.apiserver.audit.log import AuditLog
from actors.apiserver.audit.trail import Trail
from actors.apiserver.bindings import Bindings
from actors.apiserver.callers import Caller, of_system
from actors.apiserver.certificates.approver import Approver
from actors.apiserver.changes import Changes
from actors.apiserver.component_statuses import ComponentStatuses
from actors.apiserver.conversions import Conversions
from actors.apiserver.core import Core
from actors.apiserver.custom.keeper import Keeper
from actors.apiserver.custom.served import Served
from actors.apiserver.door import Door
from actors.apiserver.flowcontrol.defaults import SCHEMAS
from actors.apiserver.flowcontrol.keeper import FlowKeeper
from actors.apiserver.masters import Masters
from actors.apiserver.messages import Asked
from actors.apiserver.moulds import Moulds
from actors.apiserver.outward.client import Client, HttpsClient, NoClient
from actors.apiserver.own_writes import OwnWrites
from actors.apiserver.pipeline import Pipeline
from actors.apiserver.pod_metrics import POD_METRICS, MetricsDoor
from actors.apiserver.reads import Reads
from actors.apiserver.schema.types import DEFAULT_VERSION, Types
from actors.apiserver.store_health import StoreHealth
from actors.apiserver.tokens.authenticator import TokenAuthenticator
from actors.apiserver.tokens.claims import legacy_claims
from actors.apiserver.tokens.keeper import SecretKeeper
from protocols import api
from protocols.csi import DeleteVolume
from protocols.errors import Answer, AskError, TooManyRequests
from protocols.message import Done, Message
from protocols.objects import Object

if TYPE_CHECKING:
    from actors.apiserver.audit.config import AuditConfig
    from actors.apiserver.encryption.sealing import Encryption
    from actors.apiserver.flowcontrol.door import DoorGate
    from actors.apiserver.flowcontrol.gate import Gate, Pass
    from actors.apiserver.rest.aggregator import Aggregator
    from actors.apiserver.rest.config import RestConfig
    from actors.apiserver.rest.server import RestServer
    from actors.apiserver.tokens.issuer import Issuer
    from actors.apiserver.tokens.jwt_issuers import JwtIssuers
    from actors.apiserver.tokens.oidc_issuer import Believed

SERVICE_CIDR = "127.66.0.0/16"  # loopback addresses: a userspace proxy can listen on them without being root
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
        sole_writer: bool = False,
        pod_tokens: bool = False,
        audit: AuditConfig | None = None,
        encryption: Encryption | None = None,
    ) -> None:
        """`kubernetes_version`: the API that is served, such as "1.33", of those that `served_versions` gives.

        `alone`: False when other API servers serve the same store. `sole_writer`: nor does anybody else write to it:
        reads are current without a question to the store (decision 95). `audit`: what is asked is written to a log.
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
        self._sole_writer = sole_writer and alone
        self._pod_tokens = pod_tokens
        self._audit_config = audit
        self._encryption = encryption
        self._audit: DoorAudit | None = None
        self._gate: Gate | None = None  # where there is REST
        self._rest_server: RestServer | None = None
        self._door_gate: DoorGate | None = None
        self._serving = False

    async def on_start(self) -> None:
        """Messages wait until this returns; health is answered from the beginning."""
        types = _types(self._kubernetes_version or DEFAULT_VERSION)
        core = Core.of(self.ctx, self._etcd, self._encryption, types, sole_writer=self._sole_writer)
        quotas = Quotas(core.cache, core.stored, self.ctx.random)
        tokens = self._authenticator(core)
        self._compose(core, quotas, tokens)
        remotes = Remotes(core.cache, core.stored)
        trail = self._trail(self._audit_config, core.served) if self._audit_config is not None else None
        asker = self._open_rest(self._rest, trail, remotes, core) if self._rest is not None else None
        self._far_door = FarDoor(core.authorizer, core.served, remotes, asker)
        core.feed.start()
        await core.feed.loaded()
        own = OwnWrites(self.ctx, self._pipeline, self._changes)
        network = str(self._ranges.service_cidr)
        await own.bootstrap(
            self._ranges.first_ip, network, self._rest, leading=self.ctx.self_ref.address.system == _FIRST
        )
        endpoints = await self._publish_endpoints(core, own, self._rest) if self._rest is not None else None
        self.ctx.background(own.keep(core.cache, self._ranges.first_ip, endpoints), "what every cluster has")
        await PolicyKeeper(self.ctx, core.cache, core.feed, core.commits, self._changes).run()
        if self._gate is not None and core.served.find(SCHEMAS) is not None:
            await self._share_seats(core, self._gate)
        api_services = ApiServiceKeeper(
            self.ctx, core.cache, core.feed, core.stored, core.commits, self._changes, core.served, remotes, asker
        )
        await api_services.prepare()
        core.authorizer.follow()
        self.ctx.background(api_services.run(), "api-services")
        self._keep(core, quotas, tokens)
        self._serving = True
        self.ctx.log.info("serving", revision=core.cache.revision)

    def exposition(self, page: str) -> Callable[[], bytes] | None:
        return self._rest_server.told() if self._rest_server is not None and not page else None

    def _compose(self, core: Core, quotas: Quotas, tokens: TokenAuthenticator) -> None:
        """The pipeline that every request takes, and the doors for messages before it."""
        ctx, cache, commits, authorizer = self.ctx, core.cache, core.commits, core.authorizer
        client = self._client(core.stored)
        conversions = Conversions(client, ctx.uuid)
        admission = self._admission(core, quotas, client, conversions)
        passing, connecting = Passing(admission, core.types), Connecting(admission)
        self._changes = Changes(
            ctx, cache, core.feed, commits, core.types, self._ranges, admission, authorizer, conversions
        )
        moulds = Moulds(ctx, cache, core.stored, core.types, admission, commits)
        self._pipeline = Pipeline(
            ctx,
            Reads(cache, core.feed),
            self._changes,
            core.types,
            core.served,
            authorizer,
            tokens,
            conversions,
            passing,
            connecting,
            moulds,
            ComponentStatuses(ctx, self._etcd),
        )
        self._door = Door(ctx, self._pipeline, core.causes)
        self._metrics = MetricsDoor(ctx, self._pipeline)
        self._bindings = Bindings(ctx, cache, commits, authorizer, passing, self._create_by_message)

    async def _publish_endpoints(self, core: Core, own: OwnWrites, rest: RestConfig) -> Callable[[], Awaitable[None]]:
        """The answer writes them again, if need be."""
        masters = Masters(self.ctx, core.store, core.cache, rest.address, own.write_endpoints, alone=self._alone)
        await own.until_stored(masters.write_endpoints)
        if not self._alone:
            self.ctx.background(masters.run(), "masters")
        return masters.write_endpoints

    async def _share_seats(self, core: Core, gate: Gate) -> None:
        """Priority and fairness, over REST and for messages of systems that are not the cluster's."""
        from actors.apiserver.flowcontrol.door import DoorGate

        flows = FlowKeeper(self.ctx, core.cache, core.feed, core.commits, self._changes)
        await flows.prepare()
        gate.follow()
        self._door_gate = DoorGate(gate, core.served)
        self.ctx.background(flows.run(), "flow schemas")

    def _keep(self, core: Core, quotas: Quotas, tokens: TokenAuthenticator) -> None:
        """What an API server does of itself as long as it runs."""
        ctx, cache, feed, changes = self.ctx, core.cache, core.feed, self._changes
        ctx.background(Keeper(ctx, cache, feed, changes, core.served).run(), "definitions")
        ctx.background(QuotaKeeper(ctx, cache, changes, quotas).run(), "quotas")
        ctx.background(Approver(ctx, cache, changes, core.authorizer).run(), "certificates")
        if (issuer := tokens.issuer) is not None and self._rest is not None:
            ca_pem = self._rest.ca_file.read_bytes() if self._rest.ca_file is not None else b""

            def sign(account: Object, secret: Object) -> str:
                return issuer.sign(legacy_claims(account, secret))

            ctx.background(SecretKeeper(ctx, cache, feed, changes, ca_pem, sign).run(), "token secrets")

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
            case api.List(resource=resource) if resource == POD_METRICS and not self._far_door.serves(resource):
                return self._metrics.list(message, caller)
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

    def _authenticator(self, core: Core) -> TokenAuthenticator:
        oidc = self._oidc(self._rest.oidc) if self._rest is not None and self._rest.oidc else None
        return TokenAuthenticator(core.cache, lambda: self.ctx.now, *_tokens(self._rest), oidc)

    def _oidc(self, configs: Sequence[Believed]) -> JwtIssuers:
        from actors.apiserver.tokens.jwt_issuers import JwtIssuers  # jwt and aiohttp: only where there is one

        return JwtIssuers(configs, lambda: self.ctx.now, self.ctx.log)

    def _client(self, stored: Stored) -> Client:
        if self._rest is None:
            return NoClient()
        client = HttpsClient(stored, self.ctx.random)
        self.ctx.background(client.run(), "webhooks")
        return client

    def _admission(self, core: Core, quotas: Quotas, client: Client, conversions: Conversions) -> Admission:
        stored, served, types = core.stored, core.served, core.types
        meeting = Meeting(stored, served.versions, served.by_kind, conversions)
        return Admission(
            Chain(stored, self._toleration_s, self._pod_tokens, labelled_by_node(types.version)),
            Webhooks(stored, client, served.versions, self.ctx.uuid, conversions),
            Policies(stored, meeting),
            Mutations(stored, meeting, types),
            quotas,
            core.authorizer,
        )

    def _trail(self, config: AuditConfig, served: Served) -> Trail:
        log = AuditLog(self.ctx, config.file)
        self.ctx.background(log.run(), "audit")
        trail = Trail(config.policy, log.write, lambda: self.ctx.now)
        self._audit = DoorAudit(trail, served, self.ctx.uuid)
        return trail

    def _open_rest(self, config: RestConfig, trail: Trail | None, remotes: Remotes, core: Core) -> Aggregator:
        """Answers health at once, and everything else when the API is open. Ends with the actor, also in a crash."""
        from actors.apiserver.flowcontrol.gate import Gate
        from actors.apiserver.rest.aggregator import Aggregator
        from actors.apiserver.rest.server import RestServer  # aiohttp: 190 ms that simulations need not pay

        aggregator = Aggregator(config, core.stored, self.ctx.random)
        self._gate = gate = Gate(self.ctx, core.cache, config.seats)
        self._rest_server = server = RestServer(
            self.ctx,
            self._pipeline,
            config,
            lambda: self._serving,
            StoreHealth(self.ctx, core.store).answers,
            remotes,
            aggregator,
            gate,
            trail,
        )
        self.ctx.background(gate.run(), "priority and fairness")
        self.ctx.background(aggregator.run(), "aggregator")
        self.ctx.background(server.serve(), "rest")
        return aggregator


async def _reply(handle: ReplyHandle, answer: Awaitable[Message]) -> None:
    try:
        handle.send(await answer)
    except (Answer, AskError) as refusal:
        handle.fail(refusal)


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
