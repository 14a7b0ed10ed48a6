"""One client's session: it reads, browses and subscribes, within bounds, and touches only what is its own.

It must not know the wire or the tags.
"""

from __future__ import annotations

import contextlib
import math
import secrets
from collections.abc import Iterable, Sized
from typing import Any

from asyncua import ua
from asyncua.common.utils import ServiceError
from asyncua.crypto.permission_rules import User, UserRole
from asyncua.server.internal_session import InternalSession, SessionState
from asyncua.ua.attribute_ids import AttributeIds
from asyncua.ua.object_ids import ObjectIds
from asyncua.ua.status_codes import StatusCodes

from gateway.opcua.access import Account, Role, Users
from gateway.opcua.browsing import Browser
from gateway.opcua.budget import MAX_ELEMENTS, Budget, within
from gateway.opcua.history import MAX_NODES, History, Points
from gateway.opcua.items import OF_USER
from gateway.opcua.methods import Methods
from gateway.opcua.mv.handles import Handles
from gateway.opcua.ranges import part
from gateway.opcua.subscriptions import MAX_ITEMS_PER_SESSION, Subscriptions
from gateway.opcua.writable import Writable

MAX_READ = MAX_ELEMENTS
MAX_BROWSE = 200
MAX_ITEMS_PER_CALL = 1000
MAX_PATH = 10
LIMITS: dict[int, int] = {
    ObjectIds.Server_ServerCapabilities_OperationLimits_MaxNodesPerRead: MAX_READ,
    ObjectIds.Server_ServerCapabilities_OperationLimits_MaxNodesPerWrite: MAX_READ,
    ObjectIds.Server_ServerCapabilities_OperationLimits_MaxNodesPerBrowse: MAX_BROWSE,
    ObjectIds.Server_ServerCapabilities_OperationLimits_MaxNodesPerTranslateBrowsePathsToNodeIds: MAX_BROWSE,
    ObjectIds.Server_ServerCapabilities_OperationLimits_MaxNodesPerMethodCall: MAX_BROWSE,
    ObjectIds.Server_ServerCapabilities_OperationLimits_MaxNodesPerHistoryReadData: MAX_NODES,
    ObjectIds.Server_ServerCapabilities_OperationLimits_MaxMonitoredItemsPerCall: MAX_ITEMS_PER_CALL,
}
"""What the server tells its clients about how much one request may ask, by node."""


def _status(code: int) -> ua.StatusCode:
    return ua.StatusCode(ua.UInt32(code))


def _at_most(limit: int, asked: Sized | None) -> None:
    if len(asked or ()) > limit:
        raise ServiceError(StatusCodes.BadTooManyOperations)


def auth_token() -> ua.NodeId:
    """Return a new session's token: 32 random bytes."""
    return ua.NodeId(ua.ByteString(secrets.token_bytes(32)), ua.Int16(0), ua.NodeIdType.ByteString)


class Session(InternalSession):
    """A client's session."""

    subscription_service: Subscriptions

    def __init__(self, *args: Any, users: Users, methods: Methods, writable: Writable, history: History, **kwargs: Any) -> None:
        """Take who there is, what clients may call, write and look back at, and what the library wants."""
        super().__init__(*args, **kwargs)
        self._users = users
        self._methods = methods
        self._writable = writable
        self._history, self._stopped = history, Points()
        self.carrier: object | None = None
        """The connection that activated it last: a client that lost one goes on with its session on another."""
        self.certificate = b""
        """The client's (DER), b"" without security: nobody else may go on with this session."""
        self.admitted: Account | None = None
        """Who has just shown that it is this user; the activation that follows takes it."""
        self.account: Account | None = None
        """Who has logged in."""
        self.read_only = False
        """Whether its channel allows no more than reading, whoever has logged in."""
        self.handles = Handles()
        """Those that it holds on results, recipes and configurations."""
        self._browser = Browser(self.aspace)

    @property
    def role(self) -> Role:
        """Return what its user may do now; a change in the users file counts at once."""
        if self.read_only or self.account is None:
            return Role.OBSERVER
        now = self._users.find(self.account.name)
        return Role.OBSERVER if now is None else now.role

    @property
    def user_name(self) -> str:
        """Return who has logged in, '' before anybody has, and for nobody in particular."""
        return "" if self.account is None else self.account.name

    async def create_session(
        self, params: ua.CreateSessionParameters, sockname: tuple[str, int] | None = None
    ) -> ua.CreateSessionResult:
        """Begin. A time limit that is no number would never be over."""
        if not math.isfinite(params.RequestedSessionTimeout or 0):
            params.RequestedSessionTimeout = ua.Double(0)
        return await super().create_session(params, sockname)

    def activate_session(
        self, params: ua.ActivateSessionParameters, peer_certificate: bytes | None
    ) -> ua.ActivateSessionResult:
        """Let the user in who has been :attr:`admitted`. Raises ServiceError when nobody was."""
        account, self.admitted = self.admitted, None
        if self.state is SessionState.Closed:
            raise ServiceError(StatusCodes.BadSessionIdInvalid)
        if account is None:
            raise ServiceError(StatusCodes.BadUserAccessDenied)
        self.account, self.user = account, User(role=UserRole.User, name=account.name)
        self.nonce, self.state = secrets.token_bytes(32), SessionState.Activated
        self.touch()
        self._start_timeout_watchdog()
        return ua.ActivateSessionResult(ServerNonce=self.nonce)

    async def close_session(self, delete_subs: bool = True) -> None:
        """End, subscriptions and all: nobody could ever take them over."""
        self.handles.clear()
        await super().close_session(True)

    # --- reading ---------------------------------------------------------------------------------------------------------

    async def read(self, params: ua.ReadParameters) -> list[ua.DataValue]:
        """Read attributes, of an array a part if that is asked for; what a user may do is told to each user for himself."""
        _at_most(MAX_READ, params.NodesToRead)
        results = await super().read(params)
        for n, what in enumerate(params.NodesToRead):
            if results[n].Value is not None and what.AttributeId in OF_USER:
                results[n] = self._may(what)
            if what.IndexRange:
                of_value = what.AttributeId == AttributeIds.Value
                invalid = ua.DataValue(StatusCode=_status(StatusCodes.BadIndexRangeInvalid))
                results[n] = part(results[n], what.IndexRange) if of_value else invalid
        within(results)
        return results

    def _may(self, what: ua.ReadValueId) -> ua.DataValue:
        """Return an attribute that says what this session's user may do with a node."""
        if what.AttributeId == AttributeIds.UserExecutable:
            may = self._methods.executable(what.NodeId, self.role)
            return ua.DataValue(ua.Variant(may, ua.VariantType.Boolean))
        everybody = self.aspace.read_attribute_value(what.NodeId, AttributeIds.AccessLevel).Value
        level = int(everybody.Value or 0) if everybody is not None else 0
        if not self._writable.may_write(what.NodeId, self.role):
            level &= ~(1 << ua.AccessLevel.CurrentWrite)
        return ua.DataValue(ua.Variant(level, ua.VariantType.Byte))

    async def browse(self, params: ua.BrowseParameters) -> list[ua.BrowseResult]:
        """Browse nodes, page by page."""
        _at_most(MAX_BROWSE, params.NodesToBrowse)
        return await self._browser.browse(params)

    async def browse_next(self, parameters: ua.BrowseNextParameters) -> list[ua.BrowseResult]:
        """Return the next page."""
        _at_most(MAX_BROWSE, parameters.ContinuationPoints)
        return self._browser.go_on(parameters)

    async def translate_browsepaths_to_nodeids(self, params: list[ua.BrowsePath]) -> list[ua.BrowsePathResult]:
        """Follow paths of names."""
        _at_most(MAX_BROWSE, params)
        for path in params:
            _at_most(MAX_PATH, path.RelativePath.Elements)
        return await self._browser.follow(params)

    async def history_read(self, params: ua.HistoryReadParameters) -> list[ua.HistoryReadResult]:
        """Read what tags were."""
        return await self._history.read(lambda node: self.aspace.get(node) is not None, self._stopped, params)

    # --- changing --------------------------------------------------------------------------------------------------------

    async def write(self, params: ua.WriteParameters) -> list[ua.StatusCode]:
        """Write what is for clients to write; of the standard's nodes, which the library would let them write, none is."""
        _at_most(MAX_READ, params.NodesToWrite)
        return await self._writable.write_all(self, params.NodesToWrite or ())

    async def call(self, params: list[ua.CallMethodRequest]) -> list[ua.CallMethodResult]:
        """Call methods, one after the other; what no longer fits into the answer is not called."""
        _at_most(MAX_BROWSE, params)
        results: list[ua.CallMethodResult] = []
        budget = Budget()
        for one in params or ():
            if budget.left <= 0:
                results.append(ua.CallMethodResult(StatusCode=_status(StatusCodes.BadResponseTooLarge)))
                continue
            results.append(await self._methods.call(self, one))
            # What is done is told, also when it is long.
            with contextlib.suppress(ServiceError):
                budget.spend(results[-1].OutputArguments)
        return results

    # --- its own subscriptions -------------------------------------------------------------------------------------------

    def _own(self) -> dict[int, Any]:
        return self.subscription_service.of(self.session_id)

    def _must_own(self, subscription: int) -> None:
        if subscription not in self._own():
            raise ServiceError(StatusCodes.BadSubscriptionIdInvalid)

    async def delete_subscriptions(self, ids: list[int]) -> list[ua.StatusCode]:
        """Delete subscriptions."""
        results = []
        for i in ids or ():
            foreign = i not in self._own()
            results += [_status(StatusCodes.BadSubscriptionIdInvalid)] if foreign else await super().delete_subscriptions([i])
        return results

    async def set_publishing_mode(self, params: ua.SetPublishingModeParameters) -> list[ua.StatusCode]:
        """Let subscriptions rest or go on."""
        results = []
        for i in params.SubscriptionIds or ():
            one = ua.SetPublishingModeParameters(PublishingEnabled=params.PublishingEnabled, SubscriptionIds=[i])
            foreign = i not in self._own()
            results += [_status(StatusCodes.BadSubscriptionIdInvalid)] if foreign else await super().set_publishing_mode(one)
        return results

    def publish(self, acks: Iterable[ua.SubscriptionAcknowledgement] | None = None) -> tuple[int, list[ua.StatusCode]]:
        """Acknowledge notifications; return how many subscriptions there are to publish for, and what became of each."""
        own = self._own()
        if not own:
            raise ServiceError(StatusCodes.BadNoSubscription)
        results = []
        for ack in acks or ():
            subscription = own.get(ack.SubscriptionId)
            foreign = _status(StatusCodes.BadSubscriptionIdInvalid)
            results.append(foreign if subscription is None else subscription.acknowledge(ack.SequenceNumber))
        return len(own), results

    async def transfer_subscriptions(  # type: ignore[override]
        self, params: ua.TransferSubscriptionsParameters, callback: Any
    ) -> list[ua.TransferResult]:
        """Refuse what is another's: a client whose session is gone subscribes anew."""
        foreign = ua.TransferResult(StatusCode=_status(StatusCodes.BadSubscriptionIdInvalid))
        results = []
        for i in params.SubscriptionIds or ():
            one = ua.TransferSubscriptionsParameters(SubscriptionIds=[i], SendInitialValues=params.SendInitialValues)
            results += await super().transfer_subscriptions(one, callback) if i in self._own() else [foreign]
        return results

    async def create_monitored_items(self, params: ua.CreateMonitoredItemsParameters) -> list[ua.MonitoredItemCreateResult]:
        """Monitor values."""
        self._must_own(params.SubscriptionId)
        _at_most(MAX_ITEMS_PER_CALL, params.ItemsToCreate)
        if self.subscription_service.items_of(self.session_id) + len(params.ItemsToCreate) > MAX_ITEMS_PER_SESSION:
            raise ServiceError(StatusCodes.BadTooManyMonitoredItems)
        return await super().create_monitored_items(params)

    async def modify_monitored_items(self, params: ua.ModifyMonitoredItemsParameters) -> list[ua.MonitoredItemModifyResult]:
        """Change how values are monitored."""
        self._must_own(params.SubscriptionId)
        _at_most(MAX_ITEMS_PER_CALL, params.ItemsToModify)
        return await super().modify_monitored_items(params)

    async def set_monitoring_mode(self, params: ua.SetMonitoringModeParameters) -> list[ua.StatusCode]:
        """Let items rest or go on."""
        self._must_own(params.SubscriptionId)
        _at_most(MAX_ITEMS_PER_CALL, params.MonitoredItemIds)
        return await super().set_monitoring_mode(params)

    async def delete_monitored_items(self, params: ua.DeleteMonitoredItemsParameters) -> list[ua.StatusCode]:
        """Monitor no longer."""
        self._must_own(params.SubscriptionId)
        return await super().delete_monitored_items(params)

    def modify_subscription(self, params: ua.ModifySubscriptionParameters) -> ua.ModifySubscriptionResult:
        """Return the subscription's parameters, which stay as they are."""
        self._must_own(params.SubscriptionId)
        return super().modify_subscription(params)

    def republish(self, params: ua.RepublishParameters) -> ua.NotificationMessage:
        """Return a notification that was not acknowledged."""
        self._must_own(params.SubscriptionId)
        return super().republish(params)
