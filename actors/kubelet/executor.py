"""Does what pod workers ask for: one action, one outcome. All refusals become values; nothing is decided here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from actorkube.kube import Client
from actorkube.runtime import Context, Ref
from actors.kubelet import actions as do
from actors.kubelet.actions import Action, Failed, Gone, Lost, Ok, Outcome
from actors.kubelet.container_config import container_config, runtime_annotations, sandbox_config
from actors.kubelet.device_claims import NOT_PREPARED, NotPrepared, check
from actors.kubelet.env import ConfigError, Contents, Place, container_env, env_sources
from actors.kubelet.net_target import network_probe
from actors.kubelet.persistent_volumes import claim_of, volume_of, where
from actors.kubelet.pod_worker import PodWorker
from actors.kubelet.sources import Sources
from actors.kubelet.tokens import Token, TokenWanted, account_of, token_of, token_request, tokens_wanted
from actors.kubelet.volumes import host_path, volume_files, volume_sources
from protocols.cri import (
    ContainerNotFound,
    CreateContainer,
    ExecSync,
    ImageUnusable,
    PublishVolume,
    PullImage,
    RemoveContainer,
    RemovePodSandbox,
    RunPodSandbox,
    StartContainer,
    StopContainer,
    StopPodSandbox,
    UpdateContainerResources,
)
from protocols.csi import NodePublishVolume
from protocols.errors import Answer, AskError, Conflict, NotFound
from protocols.message import Request
from protocols.objects import Object, name_of, namespace_of, split_key, uid_of
from protocols.rules.device_claims import CLAIMS, claims_wanted

R = TypeVar("R")

_TIMEOUT_S = 30.0
_PULL_TIMEOUT_S = 3600.0
_STOP_MARGIN_S = 30.0
_PROBE_MARGIN_S = 5.0


class Executor:
    """`simulated`: containers are played, and have no use for variables that say where the API server is."""

    def __init__(self, ctx: Context, client: Client, runtime: Ref, place: Place, simulated: bool) -> None:
        self._ctx = ctx
        self._client = client
        self._sources = Sources(ctx, client)
        self._simulated = simulated
        self._runtime = runtime
        self._place = place
        self._volume_paths: dict[str, dict[str, str]] = {}  # pod uid -> volume -> path
        self._tokens: dict[str, dict[TokenWanted, Token]] = {}  # by pod uid

    def forget(self, uid: str) -> None:
        self._volume_paths.pop(uid, None)
        self._tokens.pop(uid, None)

    async def perform(self, worker: PodWorker, action: Action) -> Outcome:
        try:
            return await self._perform(worker, action)
        except ContainerNotFound:
            return Gone()
        except ImageUnusable as refusal:
            return Failed("ErrImagePull", refusal.message)
        except ConfigError as error:
            return Failed("CreateContainerConfigError", str(error))
        except NotPrepared as error:
            return Failed(NOT_PREPARED, str(error))
        except Answer as refusal:
            return Failed(str(refusal.details.get("reason") or type(refusal).__name__), refusal.message)
        except AskError:
            return Lost()

    async def _perform(self, worker: PodWorker, action: Action) -> Outcome:
        match action:
            case do.PublishVolumes():
                return await self._publish_volumes(worker.pod)
            case do.RunSandbox(attempt):
                await self._check_claims(worker.pod)
                return Ok(await self._ask(RunPodSandbox(sandbox_config(worker.pod, attempt))))
            case do.StopSandbox(id):
                return Ok(await self._ask(StopPodSandbox(id)))
            case do.RemoveSandbox(id):
                await self._ask(RemovePodSandbox(id))
            case do.Pull(container):
                return await self._pull(worker, container)
            case do.Create():
                return await self._create(worker, action)
            case do.Start(_, id):
                return Ok(await self._ask(StartContainer(id)))
            case do.Update(_, id, resources):
                return Ok(await self._ask(UpdateContainerResources(id, resources)))
            case do.Stop(_, id, grace_s):
                return Ok(await self._ask(StopContainer(id, grace_s), grace_s + _STOP_MARGIN_S))
            case do.Remove(id):
                await self._ask(RemoveContainer(id))
            case do.RunHook():
                return await self._hook(worker, action)
            case do.Probe():
                timeout_s = float(action.probe.get("timeoutSeconds") or 1)
                return await self._probe(worker, action.container, action.id, action.probe, timeout_s)
            case do.DeletePod():
                return await self._delete(worker.pod)
        return Ok()

    # -- the runtime ----------------------------------------------------------------------------------------------

    async def _ask(self, request: Request[R], timeout_s: float = _TIMEOUT_S) -> R:
        return await self._ctx.ask(self._runtime, request, timeout_s=timeout_s)

    async def _pull(self, worker: PodWorker, container: str) -> Outcome:
        spec = worker.workers[container].spec
        request = PullImage(str(spec.get("image") or ""), bool(spec.get("command")), runtime_annotations(worker.pod))
        return Ok(text=(await self._ask(request, _PULL_TIMEOUT_S)).image_ref)

    async def _create(self, worker: PodWorker, create: do.Create) -> Outcome:
        spec = worker.workers[create.container].spec
        contents = await self._sources.read(env_sources(spec), namespace_of(worker.pod))
        api = {} if self._simulated else await self._sources.api_env()
        place = self._place._replace(pod_ip=create.sandbox.ip, api=api)
        env = container_env(worker.pod, spec, contents, place)
        paths = self._volume_paths.get(worker.uid) or await self._paths(worker.pod)
        security = (worker.pod.get("spec") or {}).get("securityContext") or {}
        config = container_config(spec, create.attempt, env, paths, security)
        return Ok(await self._ask(CreateContainer(create.sandbox.id, config)))

    async def _hook(self, worker: PodWorker, hook: do.RunHook) -> Outcome:
        if sleep := hook.hook.get("sleep"):
            await self._ctx.sleep(min(float(sleep.get("seconds") or 0), hook.timeout_s))
            return Ok()
        outcome = await self._probe(worker, hook.container, hook.id, hook.hook, hook.timeout_s)
        if isinstance(outcome, Failed):
            return Failed(outcome.reason, f"{hook.kind} hook of container {hook.container} failed: {outcome.message}")
        return outcome

    async def _probe(
        self, worker: PodWorker, container: str, id: str, probe: Mapping[str, Any], timeout_s: float
    ) -> Outcome:
        if (command := (probe.get("exec") or {}).get("command")) is not None:
            result = await self._ask(ExecSync(id, tuple(command), timeout_s), timeout_s + _PROBE_MARGIN_S)
            text = (result.stdout + result.stderr).decode("utf-8", "replace")
            return (
                Ok() if result.exit_code == 0 else Failed("ProbeFailed", text[:1024] or f"exit code {result.exit_code}")
            )
        request = network_probe(worker.workers[container].spec, id, probe, timeout_s)
        answer = await self._ask(request, timeout_s + _PROBE_MARGIN_S)
        return Ok() if answer.success else Failed("ProbeFailed", answer.output)

    async def _check_claims(self, pod: Object) -> None:
        for wanted in claims_wanted(pod):
            namespace, name = split_key(wanted.key)
            check(pod, wanted, await self._sources.get(CLAIMS, name, namespace) if wanted.key else None)

    # -- volumes --------------------------------------------------------------------------------------------------

    async def _publish_volumes(self, pod: Object) -> Outcome:
        await self._paths(pod)
        return Ok()

    async def _paths(self, pod: Object) -> dict[str, str]:
        """Every volume's path, its content being what it should be now."""
        volumes = pod["spec"].get("volumes") or []
        read = await self._sources.read(volume_sources(volumes), namespace_of(pod))
        contents = {**read, **await self._token_files(pod)}
        paths: dict[str, str] = {}
        for volume in volumes:
            paths[volume["name"]] = await self._path(pod, volume, contents)
        self._volume_paths[uid_of(pod)] = paths
        return paths

    async def _path(self, pod: Object, volume: Mapping[str, Any], contents: Contents) -> str:
        if (name := claim_of(pod, volume)) is not None:
            return await self._path_of_claim(pod, name)
        path = host_path(volume)
        return path if path is not None else await self._publish(pod, volume, contents)

    async def _path_of_claim(self, pod: Object, name: str) -> str:
        """Each time anew: a pod has few, and asks for them when it starts."""
        claim = await self._sources.get("persistentvolumeclaims", name, namespace_of(pod))
        volume_name = volume_of(pod, claim, name)
        found = where(await self._sources.get("persistentvolumes", volume_name), volume_name, claim, self._place.node)
        if found.path:
            return found.path
        return (await self._ask(NodePublishVolume(found.volume_id))).host_path

    async def _publish(self, pod: Object, volume: Mapping[str, Any], contents: Contents) -> str:
        content = volume_files(pod, volume, contents, self._place)
        request = PublishVolume(uid_of(pod), volume["name"], content.files, content.modes, content.default_mode)
        return (await self._ask(request)).host_path

    # -- the API --------------------------------------------------------------------------------------------------

    async def _token_files(self, pod: Object) -> Contents:
        """The tokens that the pod's volumes show; those that near their end are renewed."""
        files: dict[tuple[str, str], Mapping[str, bytes] | None] = {}
        for wanted in tokens_wanted(pod["spec"].get("volumes") or []):
            files[wanted.source] = {"token": (await self._token(pod, wanted)).text.encode()}
        return files

    async def _token(self, pod: Object, wanted: TokenWanted) -> Token:
        """One that cannot be renewed yet is good until its end."""
        held = self._tokens.setdefault(uid_of(pod), {})
        kept = held.get(wanted)
        if kept is not None and not kept.is_due(self._ctx.now):
            return kept
        account = account_of(pod)
        try:
            request = token_request(pod, wanted)
            answer = await self._client.create("serviceaccounts", request, subresource="token", name=account)
        except (Answer, AskError) as error:
            if kept is not None and self._ctx.now < kept.end:
                return kept
            raise ConfigError(f"failed to fetch token of service account {account}: {error}") from error
        held[wanted] = token_of(answer, self._ctx.now)
        return held[wanted]

    async def _delete(self, pod: Object) -> Outcome:
        try:
            await self._client.delete("pods", name_of(pod), namespace_of(pod), uid=uid_of(pod), grace_s=0)
        except (NotFound, Conflict):
            return Gone()  # it was deleted, or another one has its name
        return Ok()
