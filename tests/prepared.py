"""One of everything, and for every route of the registry a call that is right.

Used where every route has to be called: by the table of permissions and by the test that no wrong
value is a bug. `Prepared` is alice's; roles are other users' levels on its project.
"""

from __future__ import annotations

import sqlite3
from typing import Any

import msgspec

from plasmid.methods.registry import METHODS, Method
from plasmid.methods.targets import Access
from tests.worlds import ALICE, EVE, OPERATOR, RUN_SPEC, START_MS, WORKER, WORKER_NAME, World

PUBLIC_KEY = (
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFlm/N/eTR3HgyEQAFGRmyT3tOvRTjdIXCVuGI4bDoB3 a@b\n"
)


class Prepared(msgspec.Struct):
    """What there is: all in one project, but for the place where things are cloned to."""

    world: World
    project: str
    other: str
    open_file: str
    closed_file: str
    open_record: str
    closed_record: str
    applet: str
    open_workflow: str
    closed_workflow: str
    app: str
    draft: str
    global_workflow: str
    global_draft: str
    job: str
    analysis: str
    workspace: str
    spare_token: str
    cache: str

    def call_of(self, method: Method) -> tuple[str, dict[str, Any]]:
        """Return a route and body that succeed for whoever may make the call."""
        subject = self.subject_of(method)
        return f"/{subject}/{method.verb}", self.body_of(method)

    def caller_of(self, method: Method) -> str:
        """Return the token of who may make the call: alice's, her job's or the worker's."""
        if method.access is Access.OPERATOR:
            return OPERATOR
        if "/internal/" in method.route:
            return WORKER
        writes_workspace = method.class_name == "container" and method.verb != "clone"
        if writes_workspace or method.route in ("/job/new", "/job-xxxx/getIdentityToken"):
            return self.world.token_of(self.job)
        return ALICE

    def subject_of(self, method: Method) -> str:
        """Return what a route is called on."""
        if not method.on_object:
            return method.class_name
        is_about_open = method.verb in OPEN_VERBS
        subjects = {
            "project": self.project,
            "container": self.cache if method.verb == "destroy" else self.workspace,
            "file": self.open_file if is_about_open else self.closed_file,
            "record": self.open_record if is_about_open else self.closed_record,
            "applet": self.applet,
            "workflow": self.open_workflow if is_about_open else self.closed_workflow,
            "app": self.draft if method.verb in DRAFT_VERBS else self.app,
            "globalworkflow": (
                self.global_draft if method.verb in DRAFT_VERBS else self.global_workflow
            ),
            "job": self.job,
            "analysis": self.analysis,
            "user": "user-alice",
            "org": ORG,
            "internal/job": f"internal/{self.job}",
        }
        return subjects[method.class_name]

    def body_of(self, method: Method) -> dict[str, Any]:
        """Return the body with which a route is called: as many keys as it knows."""
        container = self.workspace if method.class_name == "container" else self.project
        inside = self.workspace if method.class_name == "container" else None
        by_route = {
            **self._system(), **self._constructors(), **self._internal(), **self._runs(),
            **self._apps(), **self._global_workflows(), **self._batches(), **self._workflows(),
            **self._people(),
        }  # fmt: skip
        if method.route in by_route:
            return by_route[method.route]
        by_verb = {**self._folders(container, inside), **self._shared(container)}
        return by_verb[method.verb]

    def _system(self) -> dict[str, dict[str, Any]]:
        page = {"limit": 10, "starting": None, "describe": {"fields": {"id": True}}}
        times = {"after": 1, "before": 2**53}
        named = {"name": {"glob": "*"}, "tags": {"$and": []}, "properties": {"$and": []}}
        executions: dict[str, Any] = {
            **page, **named, "launchedBy": "self", "executable": self.applet,
            "project": self.project, "state": "runnable", "originJob": [self.job],
            "parentJob": None, "parentAnalysis": None, "rootExecution": self.job,
            "created": times, "includeSubjobs": False, "includeRestarted": False,
        }  # fmt: skip
        return {
            "/system/whoami": {"fields": {"clientIp": True}},
            "/system/greet": {"client": "dx", "version": "1", "platform": "x"},
            "/system/headers": {},
            "/system/comeBackLater": {"waitUntil": 0, "setRetryAfter": True},
            "/system/getUserInfo": {},
            "/system/newAuthToken": {
                "expires": START_MS + 10**9, "label": "l",
                "scope": {"projects": {"*": "VIEW", self.project: "UPLOAD"}},
            },
            "/system/destroyAuthToken": {"tokenSignature": "0" * 64},
            "/system/findDataObjects": {
                **page, **named, "class": "file", "state": "any", "visibility": "either",
                "id": [self.closed_file], "type": {"$or": ["T"]}, "tag": "t", "level": "VIEW",
                "link": self.closed_file, "region": ["aws:us-east-1"], "archivalState": "any",
                "modified": times, "created": times,
                "scope": {"project": self.project, "folder": "/", "recurse": True},
                "sortBy": {"field": "created", "ordering": "ascending"},
            },
            "/system/resolveDataObjects": {
                "objects": [{"name": "x", "project": self.project, "folder": "/"}],
                "project": self.project, "folder": "/", "describe": True,
                "includeProjectMetadata": True,
            },
            "/system/describeDataObjects": {
                "objects": [{"id": self.closed_file, "project": self.project, "describe": True}],
                "classDescribeOptions": {"*": True},
            },
            "/system/findProjects": {
                **page, **named, "id": self.project, "level": "VIEW", "explicitPermission": True,
                "public": False, "created": times, "region": "aws:us-east-1",
                "billTo": "user-alice", "containsPHI": False, "externalUploadRestricted": False,
            },
            "/system/findApps": {
                **page, "name": {"glob": "*"}, "category": "c", "allVersions": True,
                "published": True, "billTo": "user-alice", "createdBy": "user-alice",
                "developer": "user-alice", "authorizedUser": "PUBLIC", "created": times,
                "modified": times,
            },
            "/system/findDatabases": page,
            "/system/globalSearch": {"query": "prepared", "limit": 10, "starting": None},
            "/system/shortenURL": {"url": "http://localhost/x"},
            "/notifications/get": {},
            "/notifications/markRead": {},
            **{
                f"/system/describe{what}": {
                    "objects": [{"id": entity, "describe": {"fields": {"id": True}}}],
                    "classDescribeOptions": {"*": True},
                }
                for what, entity in (("Executions", self.job), ("Projects", self.project))
            },
            **{f"/system/find{what}": executions for what in ("Executions", "Jobs", "Analyses")},
        }  # fmt: skip

    def _constructors(self) -> dict[str, dict[str, Any]]:
        common = {
            "project": self.project, "name": "new", "folder": "/a/b", "parents": True,
            "types": ["T"], "tags": ["t"], "properties": {"k": "v"}, "details": {"a": [1]},
            "hidden": False, "nonce": "n",
        }  # fmt: skip
        applet = {
            **common, "title": "t", "summary": "s", "description": "d", "developerNotes": "n",
            "dxapi": "1.0.0", "runSpec": {
                **RUN_SPEC, "execDepends": [{"name": "x"}], "timeoutPolicy": {"*": {"hours": 1}},
                "bundledDepends": [{"name": "x", "id": {"$dnanexus_link": self.closed_file}}],
                "systemRequirements": {"*": {"instanceType": "mem1_ssd1_x2"}},
                "executionPolicy": {"restartOn": {"*": 1}, "maxRestarts": 1},
            },
            "inputSpec": [{"name": "x", "class": "int"}], "outputSpec": [], "ignoreReuse": False,
            "access": {"network": ["*"], "project": "VIEW"},
            "httpsApp": {"ports": [443], "shared_access": "VIEW", "dns": {"hostname": "h"}},
            "treeTurnaroundTimeThreshold": 1,
            "initializeFrom": {"id": self.applet, "project": self.project},
        }  # fmt: skip
        record = {
            **common,
            "close": True,
            "initializeFrom": {"id": self.closed_record, "project": self.project},
        }
        app = {
            "name": "new", "version": "1.0.0", "nonce": "n", "billTo": None,
            **self._app_content(),
        }  # fmt: skip
        return {
            "/app/new": app,
            "/project/new": {
                "name": "new", "summary": "s", "description": "d", "region": "aws:us-east-1",
                "billTo": None, "tags": ["t"], "properties": {"k": "v"}, **_FLAGS,
            },
            "/file/new": {**common, "media": "text/plain"},
            "/record/new": record,
            "/applet/new": applet,
            "/job/new": {"function": "work", **_run_options()},
        }  # fmt: skip

    def _app_content(self) -> dict[str, Any]:
        return {
            "title": "t", "summary": "s", "description": "d", "developerNotes": "n",
            "details": {"a": [1]}, "access": {"network": ["*"]}, "openSource": True,
            "ignoreReuse": False, "httpsApp": {"ports": [443]}, "treeTurnaroundTimeThreshold": 1,
            "regionalOptions": {
                "aws:us-east-1": {
                    "applet": self.applet, "resources": [self.closed_file],
                    "pricingPolicy": {"unit": "hour"},
                }
            },
        }  # fmt: skip

    def _apps(self) -> dict[str, dict[str, Any]]:
        return {
            **_versioned("app"),
            "/app-xxxx/update": self._app_content(),
            **{f"/app-xxxx/{verb}": {} for verb in ("install", "uninstall")},
        }

    def _global_workflows(self) -> dict[str, dict[str, Any]]:
        said = {
            "title": "t", "summary": "s", "description": "d", "developerNotes": "n",
            "details": {"a": 1}, "treeTurnaroundTimeThreshold": 3,
        }  # fmt: skip
        regional = {
            "aws:us-east-1": {"workflow": self.closed_workflow, "resources": [self.closed_file]}
        }
        page = {"limit": 10, "starting": None, "describe": {"fields": {"id": True}}}
        return {
            **_versioned("globalworkflow"),
            "/globalworkflow-xxxx/update": {**said, "regionalOptions": regional},
            "/globalworkflow-xxxx/run": {
                "project": self.project, "folder": "/out", "detach": False, **_run_options()
            },
            "/globalworkflow/new": {
                **said, "name": "newest_pipe", "version": "1.0.0", "regionalOptions": regional,
                "dxapi": "1.0.0", "nonce": "n",
            },
            "/system/findGlobalWorkflows": {
                **page, "name": {"glob": "*"}, "category": "c", "allVersions": True,
                "published": True, "billTo": "user-alice", "createdBy": "user-alice",
                "developer": "user-alice", "created": {"after": 1, "before": 2**53},
                "modified": {"after": 1, "before": 2**53},
            },
            "/project-xxxx/checkFeatureAccess": {"features": ["dxNextflow"]},
        }  # fmt: skip

    def _batches(self) -> dict[str, dict[str, Any]]:
        batch: dict[str, Any] = {
            "commonInput": {}, "instanceTypes": ["mem1_ssd1_x2"] * 2,
            "files": [{"$dnanexus_link": {"project": self.project, "id": self.closed_file}}],
        }  # fmt: skip
        fields = {"applet": "n", "app": "n", "workflow": "a.n", "globalworkflow": "a.n"}
        return {
            "/system/generateBatchInputs": {
                "project": self.project, "folder": "/", "inputs": {"a": "(.*)_1", "b": "(.*)_2"}
            },
            **{
                f"/{name}-xxxx/validateBatch": {**batch, "batchInput": {field: [1, 2]}}
                for name, field in fields.items()
            },
        }  # fmt: skip

    def _people(self) -> dict[str, dict[str, Any]]:
        page = {"limit": 10, "starting": None, "describe": {"fields": {"id": True}}}
        access = {
            "level": "MEMBER", "allowBillableActivities": True, "appAccess": False,
            "projectAccess": "VIEW",
        }  # fmt: skip
        policies = {
            "memberListVisibility": "ADMIN", "restrictProjectTransfer": "ADMIN", "jobReuse": True,
            "detailedJobMetricsCollectDefault": False,
        }  # fmt: skip
        account = {
            "username": "dora", "email": "dora@example.com", "first": "D", "last": "L",
            "middle": "M", "occupation": "o", "billTo": None, "provisioningOrg": None,
            "tokenDuration": 1,
        }  # fmt: skip
        return {
            "/org/new": {"handle": "newest", "name": "n", "policies": policies, "nonce": "n"},
            "/org-xxxx/update": {
                "name": "n",
                "policies": policies,
                "samlIdP": "i",
                "jobLogsForwarding": {},
                "permittedRegions": ["aws:us-east-1"],
            },
            "/org-xxxx/destroy": {"billTo": None},
            "/org-xxxx/invite": {
                "invitee": "user-bob",
                **access,
                "suppressEmailNotification": True,
            },
            "/org-xxxx/removeMember": {
                "user": "user-eve",
                "revokeProjectPermissions": True,
                "revokeAppPermissions": True,
            },
            "/org-xxxx/setMemberAccess": {"user-eve": access},
            "/org-xxxx/findMembers": {**page, "id": ["user-eve"], "level": "MEMBER"},
            "/org-xxxx/findProjects": {**page, "id": [self.project], "public": False},
            "/org-xxxx/findApps": {**page, "name": {"glob": "*"}, "allVersions": True},
            "/system/findOrgs": {**page, "level": "MEMBER", "allowBillableActivities": True},
            "/system/findUsers": {**page, "id": ["user-bob"]},
            "/system/findAffiliates": {**page, "id": ["user-bob"]},
            "/system/findProjectMembers": {**page, "project": self.project, "level": "VIEW"},
            "/user/new": account,
            "/project-xxxx/join": {"level": "VIEW"},
            "/project-xxxx/transfer": {"invitee": "user-eve"},
            "/project-xxxx/acceptTransfer": {"billTo": None},
            "/internal/user/list": {},
            "/internal/user/setDisabled": {"user": "user-eve", "disabled": False},
            "/internal/token/mint": {"user": "user-eve", "lifetime_ms": 1, "label": "l"},
            "/internal/token/list": {"user": "user-eve"},
            "/internal/token/revoke": {"signature": self.spare_token},
            "/internal/org/list": {},
        }

    def _workflows(self) -> dict[str, dict[str, Any]]:
        said = {
            "title": "t", "summary": "s", "description": "d", "outputFolder": "/o",
            "inputs": [{"name": "i", "class": "int"}], "outputs": [], "ignoreReuse": ["a"],
            "treeTurnaroundTimeThreshold": 1,
        }  # fmt: skip
        stage = {
            "executable": self.applet, "name": "n", "folder": "f", "input": {},
            "executionPolicy": {"restartOn": {"*": 1}, "onNonRestartableFailure": "failStage"},
            "systemRequirements": {"*": {"instanceType": "mem1_ssd1_x2"}},
        }  # fmt: skip
        edited = {"editVersion": 0, "stage": "a"}
        source = {"id": self.closed_workflow, "project": self.project}
        return {
            "/workflow/new": {
                "project": self.project, "name": "new", "stages": [{"id": "a", **stage}], **said,
                "temporary": True, "dxapi": "1.0.0", "nonce": "n", "initializeFrom": source,
            },
            "/workflow-xxxx/addStage": {"editVersion": 0, "id": "b", **stage},
            "/workflow-xxxx/removeStage": edited,
            "/workflow-xxxx/moveStage": {**edited, "newIndex": 0},
            "/workflow-xxxx/update": {"editVersion": 0, **said, "stages": {"a": stage}},
            "/workflow-xxxx/updateStageExecutable": {
                **edited, "executable": self.applet, "force": True
            },
            "/workflow-xxxx/isStageCompatible": {**edited, "executable": self.applet},
            "/workflow-xxxx/overwrite": {"editVersion": 0, "from": source},
        }  # fmt: skip

    def _runs(self) -> dict[str, dict[str, Any]]:
        return {
            "/applet-xxxx/run": {
                "project": self.project, "folder": "/out", "detach": False, **_run_options()
            },
            "/app-xxxx/run": {
                "project": self.project, "folder": "/out", "detach": False, **_run_options()
            },
            **{f"/workflow-xxxx/{verb}": self._run_of_workflow() for verb in ("run", "dryRun")},
            "/analysis-xxxx/update": {"allowSSH": ["192.0.2.1"], "rank": 1},
            "/analysis-xxxx/terminate": {},
            "/analysis-xxxx/describe": {"defaultFields": True, "fields": {"stages": True}},
            "/job-xxxx/update": {"allowSSH": ["192.0.2.1"], "rank": 1},
            "/job-xxxx/terminate": {},
            "/job-xxxx/getLog": {
                "try": 0, "starting": "0.0", "numRecentMessages": 1, "levels": ["INFO"],
                "limit": 1,
            },
            "/job-xxxx/openHttpsApp": {"port": 443},
            "/job-xxxx/getIdentityToken": {"audience": "a", "subject_claims": ["job_id"]},
            "/job-xxxx/describe": {"defaultFields": True, "fields": {"id": True}, "try": 0},
            "/user-xxxx/update": {
                "sshPublicKey": PUBLIC_KEY, "billTo": "user-alice", "policies": {"p": True}
            },
        }  # fmt: skip

    def _run_of_workflow(self) -> dict[str, Any]:
        machines = {"*": {"instanceType": "mem1_ssd1_x2"}}
        return {
            "project": self.project, "folder": "/out", "detach": False, **_run_options(),
            "editVersion": 0, "stageFolders": {"*": "f"}, "rerunStages": ["a"],
            "ignoreReuse": ["*"], "stageSystemRequirements": {"a": machines},
        }  # fmt: skip

    def _internal(self) -> dict[str, dict[str, Any]]:
        holder = {"worker": WORKER_NAME, "attempt": 0}
        placed = {"project": self.project, "name": "n", "folder": "/a"}
        entry = {"timestamp": 1, "source": "s", "level": "INFO", "msg": "m"}
        return {
            "/internal/worker/sync": {"worker": WORKER_NAME, "holding": [], "wait_ms": 0},
            "/internal/job-xxxx/log": {**holder, "entries": [entry], "cursors": {"stdout": 1}},
            "/internal/job-xxxx/logCursors": holder,
            "/internal/project/adopt": {
                "id": f"project-{OTHERS}", "name": "n", "region": "aws:us-east-1"
            },
            "/internal/object/adopt": {
                "id": f"record-{OTHERS}", **placed, "hidden": True, "types": ["T"],
                "details": {"a": 1}, "properties": {"k": "v"},
            },
            "/internal/object/twin": {"id": f"file-{OTHERS}", "of": self.closed_file, **placed},
            "/internal/object/unmap": {"id": f"file-{OTHERS}", "project": self.project},
            "/internal/job-xxxx/doors": {
                **holder, "ssh_host": "h", "ssh_port": 22, "ssh_host_key": "ssh-ed25519 A",
                "app_socket": "/run/app",
            },
            "/internal/job-xxxx/held": {
                "worker": WORKER_NAME, "attempt": 0, "failure_reason": "AppError",
                "failure_message": "m", "peak_memory_bytes": 1, "not_enforced": ["disk: none"],
            },
            "/internal/job-xxxx/finished": {
                **holder, "output": {}, "failure_reason": None, "failure_message": None,
                "peak_memory_bytes": 1,
            },
        }  # fmt: skip

    def _folders(self, container: str, inside: str | None) -> dict[str, dict[str, Any]]:
        mine = [] if inside else [self.closed_record]
        return {
            "newFolder": {"folder": "/new", "parents": True},
            "listFolder": {
                "folder": "/", "describe": True, "only": "all", "includeHidden": True,
                "hasSubfolderFlags": True,
            },
            "removeFolder": {"folder": "/f", "recurse": True, "force": True, "partial": True},
            "renameFolder": {"folder": "/f", "newpath": "/renamed"},
            "move": {"objects": mine, "folders": ["/f"], "destination": "/g"},
            "removeObjects": {"objects": mine, "force": False},
            "clone": {
                "objects": mine, "folders": ["/f"], "project": self.other,
                "destination": "/into", "parents": True,
            },
            "update": {
                "name": "n", "summary": "s", "description": "d", "version": None, **_FLAGS
            },
            "invite": {
                "invitee": "PUBLIC", "level": "VIEW", "suppressEmailNotification": True
            },
            "decreasePermissions": {"user-eve": "VIEW"},
            "archive": {"files": [self.closed_file], "allCopies": False},
            "unarchive": {"folder": "/", "recurse": True, "rate": "Standard", "dryRun": True},
            "leave": {},
            "destroy": {"terminateJobs": True},
        }  # fmt: skip

    def _shared(self, container: str) -> dict[str, dict[str, Any]]:
        return {
            "describe": {"fields": {"name": True}, "defaultFields": True, "project": container},
            "addTags": {"project": container, "tags": ["t"]},
            "removeTags": {"project": container, "tags": ["t"]},
            "setProperties": {"project": container, "properties": {"k": None}},
            "rename": {"project": container, "name": "n"},
            "addTypes": {"types": ["T"]},
            "removeTypes": {"types": ["T"]},
            "setVisibility": {"hidden": True},
            "getDetails": {},
            "setDetails": {"a": 1},
            "listProjects": {},
            "close": {},
            "get": {"project": container},
            "upload": {"index": 1, "size": 5, "md5": "5d41402abc4b2a76b9719d911017c592"},
            "download": {
                "project": container, "preauthenticated": True, "duration": 10,
                "filename": "f", "stickyIP": False,
            },
        }  # fmt: skip


ORG = "org-prepared"
# what an id of another platform may look like
OTHERS = "J" + "0" * 23
# what is done to a version before it is published
DRAFT_VERBS = ("update", "publish", "delete")
OPEN_VERBS = (
    "addTypes", "removeTypes", "setVisibility", "setDetails", "upload", "close",
    "addStage", "removeStage", "moveStage", "update", "updateStageExecutable", "isStageCompatible",
    "overwrite",
)  # fmt: skip
_FLAGS: dict[str, Any] = {
    "protected": False, "restricted": False, "downloadRestricted": False,
    "previewViewerRestricted": False, "externalUploadRestricted": False, "containsPHI": False,
    "databaseUIViewOnly": False, "databaseResultsRestricted": None, "allowedExecutables": None,
}  # fmt: skip


def _run_options() -> dict[str, Any]:
    return {
        "input": {}, "name": "n", "tags": ["t"], "properties": {"k": "v"}, "details": {"a": 1},
        "dependsOn": [], "delayWorkspaceDestruction": False, "priority": "high",
        "systemRequirements": {"*": {"instanceType": "mem1_ssd1_x2"}},
        "systemRequirementsByExecutable": {"*": {"*": {"instanceType": "mem1_ssd1_x2"}}},
        "timeoutPolicyByExecutable": {"*": {"*": {"hours": 1}}},
        "executionPolicy": {"restartOn": {"*": 1}, "maxRestarts": 2},
        "allowSSH": ["192.0.2.1"], "debug": {"debugOn": ["AppError"]}, "ignoreReuse": False,
        "headJobOnDemand": True, "costLimit": 1.5, "rank": 1, "maxTreeSpotWaitTime": 1,
        "maxJobSpotWaitTime": 1, "detailedJobMetrics": False, "preserveJobOutputs": {},
        "singleContext": False, "nonce": "n",
    }  # fmt: skip


def _versioned(class_name: str) -> dict[str, dict[str, Any]]:
    """Return the bodies of the routes that apps and global workflows share."""
    lists = {
        "Tags": {"tags": ["t"]}, "Categories": {"categories": ["c"]},
        "Developers": {"developers": ["user-bob"]},
        "AuthorizedUsers": {"authorizedUsers": ["user-eve"]},
    }  # fmt: skip
    of_class = f"/{class_name}-xxxx"
    return {
        f"{of_class}/publish": {"makeDefault": True},
        f"{of_class}/delete": {},
        **{f"{of_class}/add{name}": body for name, body in lists.items()},
        **{f"{of_class}/remove{name}": body for name, body in lists.items()},
        **{f"{of_class}/list{name}": {} for name in lists if name != "Tags"},
    }


async def prepare(world: World) -> Prepared:
    """Make one of everything, with a job that runs and a site that offers all it can."""
    limits = msgspec.structs.replace(world.platform.limits, web_app_domain="localhost")
    world.platform.limits = limits
    project, other = await world.a_project(name="prepared"), await world.a_project(name="other")
    await world.a_member(project, "ADMINISTER", user="user-eve")  # so that alice may leave it
    for folder in ("/f", "/g"):
        await world.call(f"/{project}/newFolder", {"folder": folder})
    open_file = await world.an_open_file(project)
    await world.put_part(open_file, b"hello")
    applet = await world.an_applet(
        project,
        access={"project": "CONTRIBUTE"},
        inputSpec=[{"name": "n", "class": "int", "optional": True}],
        outputSpec=[],
        httpsApp={"ports": [443], "shared_access": "VIEW"},
    )
    job = await world.a_job(applet)
    token = (await world.lease(job))["token"]
    workspace = (await world.describe(job))["workspace"]
    for folder in ("/f", "/g"):
        await world.call(f"/{workspace}/newFolder", {"folder": folder}, as_=token)
    stage = {"id": "a", "executable": applet}
    workflows = [await world.a_workflow(project, stage) for _ in range(2)]
    await world.call(f"/{workflows[1]}/close")
    await world.call("/org/new", {"handle": "prepared", "name": "prepared"})
    await world.call(f"/{ORG}/invite", {"invitee": "user-eve"})
    await world.call(f"/{project}/transfer", {"invitee": ORG}, as_=EVE)
    spare = await world.call("/system/newAuthToken", {"label": "spare"})
    app = await world.an_app(applet, name="prepared", users=["PUBLIC"], publish=True)
    # of a workflow elsewhere: who may run a global workflow sees what it is made of
    spec = [{"name": "n", "class": "int", "optional": True}]
    inner = {"id": "a", "executable": await world.an_applet(other, inputSpec=spec, outputSpec=[])}
    piped = await world.a_workflow(other, inner)
    await world.call(f"/{piped}/close")
    options = {"aws:us-east-1": {"workflow": piped}}
    pipes = [
        await world.new(
            "/globalworkflow/new", {"name": name, "version": "1.0.0", "regionalOptions": options}
        )
        for name in ("pipe", "draft_pipe")
    ]
    public = {"authorizedUsers": ["PUBLIC"]}
    await world.call(f"/{pipes[0]}/addAuthorizedUsers", public)
    await world.call(f"/{pipes[0]}/publish")
    run_of_app = await world.a_job(app, project=project)
    await world.finish(run_of_app)
    started = {"project": project, "input": {}}
    run_of_workflow = await world.call(f"/{workflows[1]}/run", started)
    return Prepared(
        world=world,
        project=project,
        other=other,
        open_file=open_file,
        closed_file=await world.a_closed_file(project),
        open_record=await world.a_record(project),
        closed_record=await world.a_record(project, close=True),
        applet=applet,
        open_workflow=workflows[0],
        closed_workflow=workflows[1],
        app=app,
        draft=await world.an_app(applet, name="draft"),
        global_workflow=pipes[0],
        global_draft=pipes[1],
        job=job,
        analysis=run_of_workflow["id"],
        workspace=workspace,
        spare_token=spare["token_signature"],
        cache=(await world.describe(run_of_app))["projectCache"],
    )


def methods() -> list[Method]:
    """Return every method that answers anybody, by route."""
    offered = (method for method in METHODS.values() if method.access is not Access.NEVER)
    return sorted(offered, key=lambda method: method.route)


class Snapshot:
    """The database as it was, to go back to after a call that may have changed anything."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._kept = sqlite3.connect(":memory:")
        world.database._writer.backup(self._kept)

    def restore(self) -> None:
        """Go back."""
        self._kept.backup(self._world.database._writer)
        self._world.platform.authenticator.forget()
