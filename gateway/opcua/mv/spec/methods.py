"""Signatures of the methods, and the shapes that come back often: a method, a file transfer, a step model, a state machine.

A method of an instance declaration has the signature of its type, so it is told once, by name; ids differ.
"""

from __future__ import annotations

from gateway.opcua.mv.spec.facts import Fact, Link, M, O, arguments, obj, prop, var

_CAUSE = "Cause: Int32, CauseDescription: String"
_ERROR = "Error: Int32"
_ID, _RECIPE_IN, _RECIPE_EX = "ConfigurationIdDataType", "RecipeIdInternalDataType", "RecipeIdExternalDataType"
_JOB = (
    f"MeasId: MeasIdDataType, PartId: PartIdDataType, RecipeId: {_RECIPE_EX}, ProductId: ProductIdDataType,"
    " Parameters: BaseDataType[]"
)
_PAGE = "MaxResults: UInt32, StartIndex: UInt32, Timeout: Int32"
_FOUND = "IsComplete: Boolean, ResultCount: UInt32"
_FILE = "FileNodeId: NodeId, FileHandle: UInt32"

SIGNATURES: dict[str, tuple[str, str]] = {
    # state machines
    "Reset": (_CAUSE, _ERROR),
    "Halt": (_CAUSE, _ERROR),
    "ConfirmAll": ("Comment: LocalizedText", ""),
    "SelectModeAutomatic": ("", _ERROR),
    "StartSingleJob": (_JOB, f"JobId: JobIdDataType, {_ERROR}"),
    "StartContinuous": (_JOB, f"JobId: JobIdDataType, {_ERROR}"),
    "Stop": (_CAUSE, _ERROR),
    "Abort": (_CAUSE, _ERROR),
    "SimulationMode": (f"Activate: Boolean, {_CAUSE}", _ERROR),
    "Sync": (_CAUSE, _ERROR),
    # results
    "GetResultById": (
        "ResultId: ResultIdDataType, Timeout: Int32",
        f"ResultHandle: Handle, Result: ResultDataType, {_ERROR}",
    ),
    "GetResultComponentsById": (
        "ResultId: ResultIdDataType, Timeout: Int32",
        "HasTransferableDataOnFile: Boolean, ResultHandle: Handle, IsPartial: Boolean, IsSimulated: Boolean,"
        " ResultState: ResultStateDataType, MeasId: MeasIdDataType, PartId: PartIdDataType,"
        f" ExternalRecipeId: {_RECIPE_EX}, InternalRecipeId: {_RECIPE_IN}, ProductId: ProductIdDataType,"
        f" ExternalConfigurationId: {_ID}, InternalConfigurationId: {_ID}, JobId: JobIdDataType,"
        f" CreationTime: UtcTime, ProcessingTimes: ProcessingTimesDataType, ResultContent: BaseDataType[], {_ERROR}",
    ),
    "GetResultListFiltered": (
        "ResultState: ResultStateDataType, MeasId: MeasIdDataType, PartId: PartIdDataType,"
        f" ExternalRecipeId: {_RECIPE_EX}, InternalRecipeId: {_RECIPE_IN},"
        f" ExternalConfigurationId: {_ID}, InternalConfigurationId: {_ID},"
        f" ProductId: ProductIdDataType, JobId: JobIdDataType, {_PAGE}",
        f"{_FOUND}, ResultHandle: Handle, ResultList: ResultDataType[], {_ERROR}",
    ),
    "ReleaseResultHandle": ("ResultHandle: Handle", _ERROR),
    # recipes
    "AddRecipe": (
        f"ExternalId: {_RECIPE_EX}, ProductId: ProductIdDataType",
        f"InternalId: {_RECIPE_IN}, Recipe: NodeId, Product: NodeId, TransferRequired: Boolean, {_ERROR}",
    ),
    "GetRecipeListFiltered": (
        f"ExternalId: {_RECIPE_EX}, ProductId: ProductIdDataType, IsPrepared: TriStateBooleanDataType, {_PAGE}",
        f"{_FOUND}, RecipeHandle: Handle, RecipeList: {_RECIPE_IN}[], {_ERROR}",
    ),
    "PrepareRecipe": (
        f"ExternalId: {_RECIPE_EX}, InternalIdIn: {_RECIPE_IN}",
        f"InternalIdOut: {_RECIPE_IN}, IsCompleted: Boolean, {_ERROR}",
    ),
    "UnprepareRecipe": (f"ExternalId: {_RECIPE_EX}, InternalIdIn: {_RECIPE_IN}", f"InternalIdOut: {_RECIPE_IN}, {_ERROR}"),
    "ReleaseRecipeHandle": ("RecipeHandle: Handle", _ERROR),
    "RemoveRecipe": (f"ExternalId: {_RECIPE_EX}", _ERROR),
    "PrepareProduct": ("ProductId: ProductIdDataType", f"InternalId: {_RECIPE_IN}, {_ERROR}"),
    "UnprepareProduct": ("ProductId: ProductIdDataType", f"InternalId: {_RECIPE_IN}, {_ERROR}"),
    "UnlinkProduct": (f"InternalId: {_RECIPE_IN}, ProductId: ProductIdDataType", _ERROR),
    "Recipe.LinkProduct": ("ProductId: ProductIdDataType", _ERROR),
    "Recipe.UnlinkProduct": ("ProductId: ProductIdDataType", _ERROR),
    "Recipe.Prepare": ("", f"IsCompleted: Boolean, {_ERROR}"),
    "Recipe.Unprepare": ("", _ERROR),
    # configurations
    "AddConfiguration": (
        f"ExternalId: {_ID}",
        f"InternalId: {_ID}, Configuration: NodeId, TransferRequired: Boolean, {_ERROR}",
    ),
    "GetConfigurationById": (
        f"InternalId: {_ID}, Timeout: Int32",
        f"ConfigurationHandle: Handle, Configuration: ConfigurationDataType, {_ERROR}",
    ),
    "GetConfigurationList": (
        _PAGE,
        f"{_FOUND}, ConfigurationHandle: Handle, ConfigurationList: ConfigurationDataType[], {_ERROR}",
    ),
    "ReleaseConfigurationHandle": ("ConfigurationHandle: Handle", _ERROR),
    "RemoveConfiguration": (f"InternalId: {_ID}", _ERROR),
    "ActivateConfiguration": (f"InternalId: {_ID}", _ERROR),
    # safety
    "ReportSafetyState": ("SafetyTriggered: Boolean, SafetyInformation: String", _ERROR),
    # files, as the standard has them
    "Open": ("Mode: Byte", "FileHandle: UInt32"),
    "Close": ("FileHandle: UInt32", ""),
    "Read": ("FileHandle: UInt32, Length: Int32", "Data: ByteString"),
    "Write": ("FileHandle: UInt32, Data: ByteString", ""),
    "GetPosition": ("FileHandle: UInt32", "Position: UInt64"),
    "SetPosition": ("FileHandle: UInt32, Position: UInt64", ""),
    "CloseAndCommit": ("FileHandle: UInt32", "CompletionStateMachine: NodeId"),
    "Configuration.GenerateFileForRead": (
        "GenerateOptions: ConfigurationTransferOptions",
        f"{_FILE}, CompletionStateMachine: NodeId",
    ),
    "Configuration.GenerateFileForWrite": ("GenerateOptions: ConfigurationTransferOptions", _FILE),
    "Recipe.GenerateFileForRead": (
        "generateOptions: RecipeTransferOptions",
        "fileNodeId: NodeId, fileHandle: UInt32, completionStateMachine: NodeId",
    ),
    "Recipe.GenerateFileForWrite": ("GenerateOptions: RecipeTransferOptions", _FILE),
    "Result.GenerateFileForRead": (
        "GenerateOptions: ResultTransferOptions",
        f"{_FILE}, CompletionStateMachine: NodeId",
    ),
    "Result.GenerateFileForWrite": ("GenerateOptions: BaseDataType", _FILE),
}
"""What each method takes and gives; a prefix tells methods of one name apart."""


def method(id: int, name: str, rule: str, inputs: int | None = None, outputs: int | None = None, *, of: str = "") -> Fact:
    """Return a method whose argument properties have these ids; ``of`` is the prefix of its signature."""
    plain = name.removeprefix("0:")
    takes, gives = SIGNATURES[f"{of}.{plain}" if of else plain]
    children = []
    if inputs is not None:
        children.append(arguments(inputs, "InputArguments", takes))
    if outputs is not None:
        children.append(arguments(outputs, "OutputArguments", gives))
    return Fact(id=id, node_class="Method", name=name, by="HasComponent", rule=rule, children=tuple(children))


def transfer(
    id: int,
    of: str,
    *,
    timeout: int,
    read: tuple[int, int, int],
    write: tuple[int, int, int],
    commit: tuple[int, int, int],
) -> Fact:
    """Return the file transfer of results, recipes or configurations; a method's ids are its own and of its arguments."""
    return obj(
        id,
        f"{of}Transfer",
        f"{of}TransferType",
        O,
        prop(timeout, "0:ClientProcessingTimeout", "Duration", M),
        method(read[0], "0:GenerateFileForRead", M, read[1], read[2], of=of),
        method(write[0], "0:GenerateFileForWrite", M, write[1], write[2], of=of),
        method(commit[0], "0:CloseAndCommit", M, commit[1], commit[2]),
    )


def current_state(id: int, state_id: int) -> Fact:
    """Return the variable that says which state a machine is in."""
    return var(id, "0:CurrentState", "LocalizedText", M, prop(state_id, "0:Id", "NodeId", M), type="FiniteStateVariableType")


def step_model(id: int, name: str, current: tuple[int, int], sync: tuple[int, int, int]) -> Fact:
    """Return the optional state machine for the steps within a state."""
    children = current_state(*current), method(sync[0], "Sync", M, sync[1], sync[2])
    return obj(id, f"{name}StepModel", "VisionStepModelStateMachineType", O, *children)


def state(
    id: int, name: str, number_id: int, number: int, *, type: str = "StateType", machine: str = "", rule: str = ""
) -> Fact:
    """Return a state with its number; ``machine`` is the state machine beneath it."""
    links = (Link(by="HasSubStateMachine", to=machine),) if machine else ()
    return obj(id, name, type, rule, prop(number_id, "0:StateNumber", "UInt32", M, value=number), links=links)


def transition(
    id: int,
    name: str,
    number_id: int,
    number: int,
    start: str,
    end: str,
    *,
    cause: str = "",
    effect: str = "",
) -> Fact:
    """Return a transition between two states: which method causes it, which event beside StateChanged it has.

    The specification links a transition back from its states too, from a state of another machine not so.
    """
    links = [Link(by="FromState", to=start), Link(by="ToState", to=end), Link(by="ToTransition", to=start, forward=False)]
    if "." not in end:
        links.append(Link(by="FromTransition", to=end, forward=False))
    if cause:
        links.append(Link(by="HasCause", to=cause))
    links += [Link(by="HasEffect", to=event) for event in ("StateChangedEventType", effect) if event]
    number_property = prop(number_id, "0:TransitionNumber", "UInt32", M, value=number)
    return obj(id, name, "TransitionType", "", number_property, links=tuple(links))
