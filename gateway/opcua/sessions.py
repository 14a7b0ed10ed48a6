"""One client's session: it reads, browses and subscribes, within bounds; it writes nothing and touches only what is its own.

It must not know the wire or the tags.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sized
from typing import Any

from asyncua import ua
from asyncua.common.utils import ServiceError
from asyncua.server.internal_session import InternalSession
from asyncua.ua.object_ids import ObjectIds
from asyncua.ua.status_codes import StatusCodes

from gateway.opcua.access import FailedLogins
from gateway.opcua.subscriptions import MAX_ITEMS_PER_SESSION, Subscriptions

MAX_READ = 2000
MAX_BROWSE = 200
MAX_ITEMS_PER_CALL = 1000
MAX_PATH = 32
LIMITS: dict[int, int] = {
    ObjectIds.Server_ServerCapabilities_OperationLimits_MaxNodesPerRead: MAX_READ,
    ObjectIds.Server_ServerCapabilities_OperationLimits_MaxNodesPerWrite: MAX_READ,
    ObjectIds.Server_ServerCapabilities_OperationLimits_MaxNodesPerBrowse: MAX_BROWSE,
    ObjectIds.Server_ServerCapabilities_OperationLimits_MaxNodesPerTranslateBrowsePathsToNodeIds: MAX_BROWSE,
    ObjectIds.Server_ServerCapabilities_OperationLimits_MaxNodesPerMethodCall: MAX_BROWSE,
    ObjectIds.Server_ServerCapabilities_OperationLimits_MaxNodesPerHistoryReadData: MAX_BROWSE,
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

    def __init__(self, *args: Any, logins: FailedLogins, **kwargs: Any) -> None:
        """Take who has guessed how often, and what the library wants."""
        super().__init__(*args, **kwargs)
        self._logins = logins
        self.carrier: object | None = None
        """The connection that activated it last: a client that lost one goes on with its session on another."""

    def activate_session(
        self, params: ua.ActivateSessionParameters, peer_certificate: bytes | None
    ) -> ua.ActivateSessionResult:
        """Let the user in. Raises ServiceError, at once when too many logins of this address failed within a minute."""
        peer = str(self.name[0])
        if self._logins.blocked(peer):
            raise ServiceError(StatusCodes.BadUserAccessDenied)
        try:
            return super().activate_session(params, peer_certificate)
        except ServiceError as e:
            if e.code != StatusCodes.BadIdentityTokenRejected:  # no password was tried
                self._logins.failed(peer, str(getattr(params.UserIdentityToken, "UserName", "")))
            raise

    # --- reading ---------------------------------------------------------------------------------------------------------

    async def read(self, params: ua.ReadParameters) -> list[ua.DataValue]:
        """Read attributes; a part of an array is refused, where the library would return all of it."""
        _at_most(MAX_READ, params.NodesToRead)
        results = await super().read(params)
        for n, what in enumerate(params.NodesToRead):
            if what.IndexRange:
                results[n] = ua.DataValue(StatusCode=_status(StatusCodes.BadIndexRangeInvalid))
        return results

    async def browse(self, params: ua.BrowseParameters) -> list[ua.BrowseResult]:
        """Browse nodes."""
        _at_most(MAX_BROWSE, params.NodesToBrowse)
        return await super().browse(params)

    async def translate_browsepaths_to_nodeids(self, params: list[ua.BrowsePath]) -> list[ua.BrowsePathResult]:
        """Follow paths of names."""
        _at_most(MAX_BROWSE, params)
        for path in params:
            _at_most(MAX_PATH, path.RelativePath.Elements)
        return await super().translate_browsepaths_to_nodeids(params)

    async def history_read(self, params: ua.HistoryReadParameters) -> list[ua.HistoryReadResult]:
        """Say that nothing has a history."""
        _at_most(MAX_BROWSE, params.NodesToRead)
        unsupported = _status(StatusCodes.BadHistoryOperationUnsupported)
        return [ua.HistoryReadResult(StatusCode=unsupported) for _ in params.NodesToRead]

    # --- changing --------------------------------------------------------------------------------------------------------

    async def write(self, params: ua.WriteParameters) -> list[ua.StatusCode]:
        """Refuse: no node is for clients to write, those of the standard that the library would let them write included."""
        return [_status(StatusCodes.BadNotWritable) for _ in params.NodesToWrite]

    async def call(self, params: list[ua.CallMethodRequest]) -> list[ua.CallMethodResult]:
        """Refuse: there is no method behind those of the standard."""
        _at_most(MAX_BROWSE, params)
        return [ua.CallMethodResult(StatusCode=_status(StatusCodes.BadMethodInvalid)) for _ in params]

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
            foreign = ack.SubscriptionId not in own
            results += [_status(StatusCodes.BadSubscriptionIdInvalid)] if foreign else super().publish([ack])[1]
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
