/* A request's way to its handler and back, as far as all goes well. zkrpc/server/compiled.py tells it what it needs to
   know.

   Whatever is out of the ordinary is left to Python, which does the same: before the handler has run it begins again
   with the request, and afterwards it goes on with the handler's outcome. So a handler never runs twice, and nothing
   here has a message.

   Decoding, the handler, encoding and whatever is released can do anything: switch greenlets, dispatch more requests,
   replace the dispatcher. So all state of one request is in the arguments and locals of one call, and whatever is used
   after such a call is owned. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stddef.h>
#include <string.h>
#include <structmember.h>

#ifndef BUILT_FROM
#error "setup.py defines what this is built from"
#endif

/* The fields of wire.message.Request. */
enum { NAME, SEQID, KIND, HEADERS, FRAME, OFFSET, DIALECT, RECEIVED_AT, HEADER_SEQID, FLAGS, TEMPLATE, REQUEST_SIZE };

/* The fields of an entry of the dispatcher's table. */
enum { METHOD, HANDLER, RECORDING, INTERRUPTIBLE, LABEL, RUN, DECODE, ENCODE, ENTRY_SIZE };

/* The slots of a call.ServerCall. */
enum { ARGUMENTS, CALLER, ENTERED, EPOCH, CALL_HANDLER, CALL_HEADERS, CALL_METHOD, PEER, CALL_RECEIVED_AT, REVOKED,
       SLOTS };
static const char *const slot_names[SLOTS] = {
    "arguments", "caller", "entered", "epoch", "handler", "headers", "method", "peer", "received_at", "revoked"
};

enum { ANSWER_SIZE = 3, DIALECTS = 16 };

/* What all dispatchers know, borrowed from a tuple that is kept. */
typedef struct {
    PyTypeObject *request, *call, *answer;
    PyObject *current;           /* the context variable */
    PyObject *run_handler;       /* what runs handlers where they run in place and nothing is around them */
    PyObject *call_kind, *reply_kind;
    PyObject *binary, *compact;  /* tuples of dialects */
    PyObject *budget_key;
    PyObject *budgets;           /* seconds by texts */
    PyObject *nobody;
    Py_ssize_t most;             /* durations that are gathered */
} Known;

typedef struct {
    PyObject_HEAD
    PyObject *table;             /* entries by names; NULL: Python dispatches */
    PyObject *max_elements;
    PyObject *clock;
    PyObject *kept;
    Known known;
    PyObject *headers;           /* the last ones, which come again and again, ... */
    double budget;               /* ... and the seconds that they give */
} Core;

/* Slots of what a connection works with. */
enum { METER_ACCOUNT, ACCOUNT_KNOWN, ACCOUNT_CALLER, TALLY_CALLS, TALLY_CALLED_AT, ADMISSION_RUNNING, ADMISSION_OPEN,
       ADMISSION_GATE, ADMISSION_LIMIT, ADMISSION_TURNS, ADMISSION_LEFT_AT, PLACES };
static const char *const place_names[PLACES] = {
    "account", "known", "caller", "calls", "called_at", "running", "_open", "_gate", "_limit", "_turns", "_left_at"
};

/* What a read goes through: classes whose objects are looked into, and members of theirs. */
enum class_number { PROTOCOL, INFLOW, INFLATION, OUTBOX, INTAKE, RECORDS, TURNS, WORKER, CLASSES };
static const char *const class_names[CLASSES] = {
    "ServerProtocol", "Inflow", "Inflation", "Outbox", "Intake", "Recording", "Turns", "Worker"
};
#define MEMBERS(DO) \
    DO(PROTOCOL, ACTIVE, "_active") DO(PROTOCOL, HAS_NEWS, "has_news") DO(PROTOCOL, INFLOW, "inflow") \
    DO(PROTOCOL, IS_WHOLE, "_is_whole") DO(PROTOCOL, READY, "ready") DO(PROTOCOL, STATE, "state") \
    DO(PROTOCOL, WANTED, "wanted") \
    DO(INFLOW, INFLATION, "inflation") DO(INFLOW, PARTIAL_SINCE, "partial_since") \
    DO(INFLATION, USED, "used") \
    DO(OUTBOX, IS_FULL, "is_full") DO(OUTBOX, SEND, "send") DO(OUTBOX, UNSENT, "unsent") \
    DO(INTAKE, IS_READING, "is_reading") \
    DO(RECORDS, SECONDS, "seconds") DO(RECORDS, URGENT, "urgent") \
    DO(TURNS, ROUND, "_round") DO(TURNS, ROUND_OF, "_round_of") DO(TURNS, SPENT, "_spent") \
    DO(WORKER, IN_FRONT, "in_front") DO(WORKER, WORK, "work")
#define NUMBER(class, member, name) class##_##member,
enum member { MEMBERS(NUMBER) MEMBER_COUNT };
#define CLASS(class, member, name) class,
static const unsigned char class_of[MEMBER_COUNT] = {MEMBERS(CLASS)};
#define TEXT(class, member, name) name,
static const char *const name_of[MEMBER_COUNT] = {MEMBERS(TEXT)};

typedef struct {
    Py_ssize_t slots[SLOTS], places[PLACES];
    PyTypeObject *meter, *admission, *answer;
    PyObject *reply;
    double flush_after, slice, notable, lengthy;
    PyObject *open;              /* the state of a connection on which all is well */
    PyTypeObject *known[CLASSES];            /* NULL until it is known */
    Py_ssize_t member[MEMBER_COUNT];         /* where it is in objects of its class */
    char type[MEMBER_COUNT];                 /* what it is there: an object, or a bool or a size in C */
    PyObject *text[MEMBER_COUNT];
    PyTypeObject *crew;
    /* names */
    PyObject *in_python, *settle, *raised, *get, *settle_all, *take_in, *admit, *accepts_calls,
        *leave, *send_reply, *answer_name, *run, *finish, *run_admitted, *next_request, *work_soon, *begin, *clock,
        *count_held, *data_to_send, *end_turn, *is_spent, *keep, *make_worker, *may_take_long, *part,
        *protocol, *push, *read_in_python, *receive, *receive_apart, *receive_data, *receive_failure, *run_requests,
        *read_on, *switch_to, *take_news, *unread, *widen;
    PyObject *no_result;         /* the body of a reply without a value */
} State;

static inline void
put(PyObject *call, Py_ssize_t slot, PyObject *value)
{
    *(PyObject **)((char *)call + slot) = Py_NewRef(value);
}

static inline PyObject *
at(PyObject *call, Py_ssize_t slot)
{
    return *(PyObject **)((char *)call + slot);
}

/* A member of an object that is looked into, or an attribute of any other. */
static inline PyObject *
get(const State *state, PyObject *object, enum member member)
{
    if (Py_TYPE(object) == state->known[class_of[member]] && state->type[member] == T_OBJECT_EX) {
        PyObject *value = at(object, state->member[member]);
        if (value) {
            return Py_NewRef(value);
        }
    }
    return PyObject_GetAttr(object, state->text[member]);
}

static inline int
set(const State *state, PyObject *object, enum member member, PyObject *value)
{
    if (Py_TYPE(object) == state->known[class_of[member]] && state->type[member] == T_OBJECT_EX) {
        PyObject **place = (PyObject **)((char *)object + state->member[member]), *before = *place;
        *place = Py_NewRef(value);
        Py_XDECREF(before);
        return 0;
    }
    return PyObject_SetAttr(object, state->text[member], value);
}

/* Whether a member is true; -1 with an exception. */
static inline int
is_true(const State *state, PyObject *object, enum member member)
{
    if (Py_TYPE(object) == state->known[class_of[member]] && state->type[member] == T_BOOL) {
        return *((char *)object + state->member[member]) != 0;
    }
    PyObject *value = get(state, object, member);
    int truth = value ? PyObject_IsTrue(value) : -1;
    Py_XDECREF(value);
    return truth;
}

/* A member that is a number of bytes; -1 with an exception. */
static inline Py_ssize_t
number_of(const State *state, PyObject *object, enum member member)
{
    if (Py_TYPE(object) == state->known[class_of[member]] && state->type[member] == T_PYSSIZET) {
        return *(Py_ssize_t *)((char *)object + state->member[member]);
    }
    PyObject *value = get(state, object, member);
    Py_ssize_t number = value ? PyLong_AsSsize_t(value) : -1;
    Py_XDECREF(value);
    return number;
}

/* How much a member holds; -1 with an exception. */
static inline Py_ssize_t
size_of(const State *state, PyObject *object, enum member member)
{
    PyObject *value = get(state, object, member);
    Py_ssize_t size = value ? PyObject_Size(value) : -1;
    Py_XDECREF(value);
    return size;
}

/* A method of nothing, of one thing, or of two. */
static inline PyObject *
ask(PyObject *object, PyObject *name, PyObject *first, PyObject *second)
{
    PyObject *all[] = {object, first, second};
    return PyObject_VectorcallMethod(name, all, (1 + !!first + !!second) | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
}

static inline int
done(PyObject *answer)
{
    Py_XDECREF(answer);
    return answer ? 0 : -1;
}

/* The exception that is set, which is set no longer. */
static PyObject *
take_error(void)
{
    PyObject *type, *error, *traceback;
    PyErr_Fetch(&type, &error, &traceback);
    PyErr_NormalizeException(&type, &error, &traceback);
    if (traceback) {
        PyException_SetTraceback(error, traceback);
    }
    Py_XDECREF(type);
    Py_XDECREF(traceback);
    return error;
}

/* Seconds that the caller waits, by the headers; -1 if Python has to read them, or with an exception. */
static double
budget_of(Core *self, State *state, PyObject *headers)
{
    if (headers == self->headers) {
        return self->budget;
    }
    PyObject *arguments[] = {headers, self->known.budget_key};
    PyObject *text = PyObject_VectorcallMethod(state->get, arguments, 2 | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
    if (!text) {
        return -1;
    }
    double budget = Py_HUGE_VAL;
    if (text != Py_None) {
        PyObject *known = PyUnicode_CheckExact(text) ? PyDict_GetItemWithError(self->known.budgets, text) : NULL;
        budget = known && PyFloat_CheckExact(known) ? PyFloat_AS_DOUBLE(known) : -1;
    }
    Py_DECREF(text);
    if (budget >= 0 && Py_TYPE(headers) == &PyDictProxy_Type) {
        PyObject *before = self->headers;
        self->headers = Py_NewRef(headers);
        self->budget = budget;
        Py_XDECREF(before);
    }
    return budget;
}

/* Whether a dialect is compact; -1 if it is not known. */
static inline int
is_compact(const Known *known, PyObject *dialect)
{
    for (Py_ssize_t place = 0; place < PyTuple_GET_SIZE(known->binary); place++) {
        if (PyTuple_GET_ITEM(known->binary, place) == dialect) {
            return 0;
        }
    }
    for (Py_ssize_t place = 0; place < PyTuple_GET_SIZE(known->compact); place++) {
        if (PyTuple_GET_ITEM(known->compact, place) == dialect) {
            return 1;
        }
    }
    return -1;
}

static PyObject *
make_call(const Known *known, const State *state, PyObject *entry, PyObject *arguments, PyObject *request,
          PyObject *peer, PyObject *caller, int entered)
{
    PyObject *call = known->call->tp_alloc(known->call, 0);
    if (call) {
        const Py_ssize_t *slots = state->slots;
        put(call, slots[ARGUMENTS], arguments);
        put(call, slots[CALLER], caller);
        put(call, slots[ENTERED], entered ? Py_True : Py_False);
        put(call, slots[EPOCH], Py_None);
        put(call, slots[CALL_HANDLER], PyTuple_GET_ITEM(entry, HANDLER));
        put(call, slots[CALL_HEADERS], PyTuple_GET_ITEM(request, HEADERS));
        put(call, slots[CALL_METHOD], PyTuple_GET_ITEM(entry, LABEL));
        put(call, slots[PEER], peer);
        put(call, slots[CALL_RECEIVED_AT], PyTuple_GET_ITEM(request, RECEIVED_AT));
        put(call, slots[REVOKED], Py_None);
    }
    return call;
}

/* The body of the reply; NULL if Python has to look, with an exception if it must not be swallowed. */
static PyObject *
encode(const State *state, PyObject *entry, PyObject *request, PyObject *call, PyObject *value, int compact,
       PyObject *call_kind)
{
    PyObject *encode = PyTuple_GET_ITEM(entry, ENCODE);
    if (encode == Py_None || PyTuple_GET_ITEM(request, KIND) != call_kind
        || at(call, state->slots[EPOCH]) != Py_None || at(call, state->slots[REVOKED]) != Py_None) {
        return NULL;
    }
    if (encode == Py_False) {
        return value == Py_None ? Py_NewRef(state->no_result) : NULL;
    }
    if (value == Py_None) {
        return NULL;
    }
    PyObject *arguments[] = {NULL, NULL, value, compact ? Py_True : Py_False};
    PyObject *first = PyLong_FromLong(0);
    if (!first) {
        return NULL;
    }
    arguments[1] = first;
    PyObject *body = PyObject_Vectorcall(encode, arguments + 1, 3 | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
    Py_DECREF(first);
    if (body == Py_None) {
        Py_CLEAR(body);
    }
    return body;
}

/* As in Recording.note. */
static int
note(Core *self, State *state, PyObject *recording, PyObject *now)
{
    PyObject *clock = Py_NewRef(self->clock), *ended = PyObject_CallNoArgs(clock);
    PyObject *gathered = ended ? get(state, recording, RECORDS_SECONDS) : NULL;
    PyObject *urgent = gathered ? get(state, recording, RECORDS_URGENT) : NULL, *lasted = NULL;
    double took = urgent ? PyFloat_AsDouble(ended) - PyFloat_AsDouble(now) : 0.0;
    double most = urgent ? PyFloat_AsDouble(urgent) : 0.0;
    int failed = !urgent || PyErr_Occurred() || !(lasted = PyFloat_FromDouble(took)) || PyList_Append(gathered, lasted) < 0;
    if (!failed && (took >= most || PyList_GET_SIZE(gathered) >= self->known.most)) {
        failed = done(ask(recording, state->settle_all, NULL, NULL)) < 0;
    }
    Py_DECREF(clock);
    Py_XDECREF(ended);
    Py_XDECREF(gathered);
    Py_XDECREF(urgent);
    Py_XDECREF(lasted);
    return failed ? -1 : 0;
}

/* Goes on in Python with what the handler did: the method of the dispatcher with the request, entry, call and outcome. */
static PyObject *
go_on(Core *self, PyObject *name, PyObject *const *args, PyObject *caller, PyObject *entry, PyObject *call,
      PyObject *outcome)
{
    PyObject *all[] = {(PyObject *)self, args[0], args[1], args[2], caller, entry, call, outcome};
    return PyObject_VectorcallMethod(name, all, 8 | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
}

/* Goes on with the exception that the handler has raised, which is set. */
static PyObject *
raised(Core *self, State *state, PyObject *const *args, PyObject *caller, PyObject *entry, PyObject *call)
{
    PyObject *error = take_error();
    PyObject *answer = go_on(self, state->raised, args, caller, entry, call, error);
    Py_XDECREF(error);
    return answer;
}

static PyObject *
run(PyObject *entry, PyObject *call, PyObject *arguments, int in_place)
{
    if (!in_place) {
        return PyObject_CallOneArg(PyTuple_GET_ITEM(entry, RUN), call);
    }
    return PyObject_Vectorcall(PyTuple_GET_ITEM(entry, HANDLER), &PyTuple_GET_ITEM(arguments, 0),
                               PyTuple_GET_SIZE(arguments), NULL);
}

/* Runs the handler with the arguments that were read, and makes the answer. */
static PyObject *
serve(Core *self, State *state, PyObject *const *args, PyObject *caller, PyObject *entry, PyObject *arguments,
      int compact)
{
    const Known *known = &self->known;
    PyObject *kept = Py_NewRef(self->kept), *current = Py_NewRef(known->current), *call_kind = known->call_kind;
    PyObject *request = args[0], *answer = NULL, *value = NULL, *body = NULL, *token = NULL;
    PyTypeObject *answer_type = known->answer;
    PyObject *reply_kind = known->reply_kind;
    int in_place = PyTuple_GET_ITEM(entry, RUN) == known->run_handler;
    PyObject *call = make_call(known, state, entry, arguments, request, args[1], caller, in_place);
    if (!call || !(token = PyContextVar_Set(current, call))) {
        goto done;
    }
    value = run(entry, call, arguments, in_place);
    if (!value) {
        answer = raised(self, state, args, caller, entry, call);
    }
    {
        PyObject *type, *error, *traceback;
        PyErr_Fetch(&type, &error, &traceback);
        if (PyContextVar_Reset(current, token) < 0) {
            Py_CLEAR(answer);
            Py_CLEAR(value);
            Py_XDECREF(type);
            Py_XDECREF(error);
            Py_XDECREF(traceback);
            goto done;
        }
        PyErr_Restore(type, error, traceback);
    }
    if (!value) {
        goto done;
    }
    body = encode(state, entry, request, call, value, compact, call_kind);
    if (!body) {
        answer = PyErr_Occurred() ? NULL : go_on(self, state->settle, args, caller, entry, call, value);
        goto done;
    }
    answer = answer_type->tp_alloc(answer_type, ANSWER_SIZE);
    if (answer) {
        PyTuple_SET_ITEM(answer, 0, Py_NewRef(reply_kind));
        PyTuple_SET_ITEM(answer, 1, Py_NewRef(body));
        PyTuple_SET_ITEM(answer, 2, Py_NewRef(Py_None));
        PyObject *recording = PyTuple_GET_ITEM(entry, RECORDING);
        if (recording != Py_None && note(self, state, recording, args[2]) < 0) {
            Py_CLEAR(answer);
        }
    }
done:
    Py_XDECREF(token);
    Py_XDECREF(call);
    Py_XDECREF(value);
    Py_XDECREF(body);
    Py_DECREF(current);
    Py_DECREF(kept);
    return answer;
}

/* The arguments of a request for which there is time; NULL if Python has to look, or with an exception. */
static PyObject *
read_arguments(Core *self, State *state, PyObject *request, PyObject *entry, PyObject *now, int *compact)
{
    double budget = budget_of(self, state, PyTuple_GET_ITEM(request, HEADERS));
    if (budget < 0 || !self->table) {
        return NULL;
    }
    if (budget != Py_HUGE_VAL) {
        PyObject *received_at = PyTuple_GET_ITEM(request, RECEIVED_AT);
        if (!PyFloat_CheckExact(now) || !PyFloat_CheckExact(received_at)
            || PyFloat_AS_DOUBLE(now) >= PyFloat_AS_DOUBLE(received_at) + budget) {
            return NULL;
        }
    }
    *compact = is_compact(&self->known, PyTuple_GET_ITEM(request, DIALECT));
    PyObject *decode = PyTuple_GET_ITEM(entry, DECODE);
    if (*compact < 0 || decode == Py_None) {
        return NULL;
    }
    PyObject *max_elements = Py_NewRef(self->max_elements);
    PyObject *all[] = {
        NULL, PyTuple_GET_ITEM(request, FRAME), PyTuple_GET_ITEM(request, OFFSET), *compact ? Py_True : Py_False,
        max_elements
    };
    PyObject *arguments = PyObject_Vectorcall(decode, all + 1, 4 | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
    Py_DECREF(max_elements);
    if (arguments && !PyTuple_CheckExact(arguments)) {
        Py_CLEAR(arguments);
    }
    return arguments;
}

PyDoc_STRVAR(dispatch_doc, "dispatch(request, peer, now, caller)\n--\n\n\
Runs one request of a caller and returns the answer, or None, as the dispatcher's method in Python does.");

static PyObject *
dispatch(Core *self, PyTypeObject *class, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
    State *state = PyType_GetModuleState(class);
    PyObject *arguments = NULL, *answer = NULL, *entry = NULL, *caller = NULL;
    int compact = 0;
    if (self->table && !names && (count == 3 || count == 4) && Py_TYPE(args[0]) == self->known.request
        && PyTuple_GET_SIZE(args[0]) == REQUEST_SIZE && PyBytes_CheckExact(PyTuple_GET_ITEM(args[0], NAME))) {
        entry = Py_XNewRef(PyDict_GetItemWithError(self->table, PyTuple_GET_ITEM(args[0], NAME)));
        caller = Py_NewRef(count == 4 ? args[3] : self->known.nobody);
        if (entry) {
            arguments = read_arguments(self, state, args[0], entry, args[2], &compact);
        }
    }
    if (arguments && self->table) {
        answer = serve(self, state, args, caller, entry, arguments, compact);
    }
    else if (!PyErr_Occurred()) {
        PyObject *in_python = PyObject_GetAttr((PyObject *)self, state->in_python);
        answer = in_python ? PyObject_Vectorcall(in_python, args, count, names) : NULL;
        Py_XDECREF(in_python);
    }
    Py_XDECREF(arguments);
    Py_XDECREF(entry);
    Py_XDECREF(caller);
    return answer;
}

/* The offset of an object's slot. */
static int
find_slot(Py_ssize_t *slot, PyTypeObject *class, const char *name)
{
    PyObject *found = PyObject_GetAttrString((PyObject *)class, name);
    const struct PyMemberDef *member = found && Py_TYPE(found) == &PyMemberDescr_Type
        ? ((PyMemberDescrObject *)found)->d_member : NULL;
    int fits = member && member->type == T_OBJECT_EX && member->offset > 0 && PyDescr_TYPE(found) == class;
    *slot = fits ? member->offset : 0;
    Py_XDECREF(found);
    if (!fits) {
        PyErr_Format(PyExc_TypeError, "%s has no slot %s", class->tp_name, name);
    }
    return fits;
}

static int
find_slots(State *state, PyTypeObject *call)
{
    for (int place = 0; place < SLOTS; place++) {
        if (!find_slot(&state->slots[place], call, slot_names[place])) {
            return 0;
        }
    }
    return 1;
}

static int
is_table(PyObject *table)
{
    PyObject *name, *entry;
    Py_ssize_t place = 0;
    while (PyDict_Next(table, &place, &name, &entry)) {
        if (!PyTuple_Check(entry) || PyTuple_GET_SIZE(entry) != ENTRY_SIZE) {
            return 0;
        }
    }
    return 1;
}

PyDoc_STRVAR(prepare_doc, "prepare(table, max_elements, clock, known)\n--\n\n\
Says what requests are dispatched by; before, and without, Python dispatches. See zkrpc.server.compiled for the rest.");

static PyObject *
prepare(Core *self, PyTypeObject *class, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
    State *state = PyType_GetModuleState(class);
    Known known;
    if (names || count != 4 || !PyDict_CheckExact(args[0]) || !PyTuple_CheckExact(args[3]) || self->table
        || !PyLong_CheckExact(args[1]) || !is_table(args[0])) {
        PyErr_SetString(PyExc_TypeError, "prepare() takes a table, a number, a clock and what is known, once");
        return NULL;
    }
    if (!PyArg_ParseTuple(args[3], "O!O!O!OOOOO!O!OO!On", &PyType_Type, &known.request, &PyType_Type, &known.call,
                          &PyType_Type, &known.answer, &known.current, &known.run_handler, &known.call_kind,
                          &known.reply_kind, &PyTuple_Type, &known.binary, &PyTuple_Type, &known.compact,
                          &known.budget_key, &PyDict_Type, &known.budgets, &known.nobody, &known.most)
        || !find_slots(state, known.call)) {
        return NULL;
    }
    if (!PyContextVar_CheckExact(known.current) || !PyType_IsSubtype(known.request, &PyTuple_Type)
        || !PyType_IsSubtype(known.answer, &PyTuple_Type)) {
        PyErr_SetString(PyExc_TypeError, "requests and answers are tuples, and the current call is a context variable");
        return NULL;
    }
    self->known = known;
    self->kept = Py_NewRef(args[3]);
    self->max_elements = Py_NewRef(args[1]);
    self->clock = Py_NewRef(args[2]);
    self->table = Py_NewRef(args[0]);
    Py_RETURN_NONE;
}

static PyMethodDef methods[] = {
    {"dispatch", (PyCFunction)(void (*)(void))dispatch, METH_METHOD | METH_FASTCALL | METH_KEYWORDS, dispatch_doc},
    {"prepare", (PyCFunction)(void (*)(void))prepare, METH_METHOD | METH_FASTCALL | METH_KEYWORDS, prepare_doc},
    {NULL, NULL, 0, NULL},
};

static int
traverse(Core *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->table);
    Py_VISIT(self->max_elements);
    Py_VISIT(self->clock);
    Py_VISIT(self->kept);
    Py_VISIT(self->headers);
    return 0;
}

static int
clear(Core *self)
{
    Py_CLEAR(self->table);
    Py_CLEAR(self->max_elements);
    Py_CLEAR(self->clock);
    Py_CLEAR(self->kept);
    Py_CLEAR(self->headers);
    return 0;
}

static void
dealloc(Core *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    clear(self);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyType_Slot core_slots[] = {
    {Py_tp_doc, "What a dispatcher does with requests that go well."},
    {Py_tp_methods, methods},
    {Py_tp_traverse, traverse},
    {Py_tp_clear, clear},
    {Py_tp_dealloc, dealloc},
    {0, NULL},
};

static PyType_Spec core_spec = {
    .name = "zkrpc.server._compiled.Core",
    .basicsize = sizeof(Core),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = core_slots,
};

/* One connection's requests, run one after another. */

typedef struct {
    PyObject_HEAD
    PyObject *protocol, *meter, *share, *peer, *serving, *dispatch, *queue, *admission, *clock;
    PyObject *admitted;          /* the queue's */
    PyObject *greenlets, *intake, *outbox, *turns;
    double used_at, flushed_at, turn_ends;
    Py_ssize_t received;
    char closed, turn_is_over, is_sent, holds;
} Crew;

static PyMemberDef crew_members[] = {
    {"protocol", T_OBJECT_EX, offsetof(Crew, protocol), 0, NULL},
    {"meter", T_OBJECT_EX, offsetof(Crew, meter), 0, NULL},
    {"share", T_OBJECT_EX, offsetof(Crew, share), 0, NULL},
    {"peer", T_OBJECT_EX, offsetof(Crew, peer), 0, NULL},
    {"clock", T_OBJECT_EX, offsetof(Crew, clock), 0, NULL},
    {"_serving", T_OBJECT_EX, offsetof(Crew, serving), 0, NULL},
    {"_dispatch", T_OBJECT_EX, offsetof(Crew, dispatch), 0, NULL},
    {"_queue", T_OBJECT_EX, offsetof(Crew, queue), 0, NULL},
    {"_admission", T_OBJECT_EX, offsetof(Crew, admission), 0, NULL},
    {"_admitted", T_OBJECT_EX, offsetof(Crew, admitted), 0, NULL},
    {"_greenlets", T_OBJECT_EX, offsetof(Crew, greenlets), 0, NULL},
    {"_intake", T_OBJECT_EX, offsetof(Crew, intake), 0, NULL},
    {"_outbox", T_OBJECT_EX, offsetof(Crew, outbox), 0, NULL},
    {"_turns", T_OBJECT_EX, offsetof(Crew, turns), 0, NULL},
    {"_received", T_PYSSIZET, offsetof(Crew, received), 0, NULL},
    {"_is_sent", T_BOOL, offsetof(Crew, is_sent), 0, NULL},
    {"_holds", T_BOOL, offsetof(Crew, holds), 0, NULL},
    {"used_at", T_DOUBLE, offsetof(Crew, used_at), 0, NULL},
    {"_flushed_at", T_DOUBLE, offsetof(Crew, flushed_at), 0, NULL},
    {"_turn_ends", T_DOUBLE, offsetof(Crew, turn_ends), 0, NULL},
    {"closed", T_BOOL, offsetof(Crew, closed), 0, NULL},
    {"_turn_is_over", T_BOOL, offsetof(Crew, turn_is_over), 0, NULL},
    {NULL, 0, 0, 0, NULL},
};

/* Replaces what a slot holds, which may be nothing; takes the reference. */
static inline void
replace(PyObject *object, Py_ssize_t slot, PyObject *value)
{
    PyObject **place = (PyObject **)((char *)object + slot), *before = *place;
    *place = value;
    Py_XDECREF(before);
}

/* Adds to a number in a slot. */
static int
add(PyObject *object, Py_ssize_t slot, long step)
{
    PyObject *before = at(object, slot);
    long number = before && PyLong_CheckExact(before) ? PyLong_AsLong(before) : -1;
    if (number < 0) {
        if (!PyErr_Occurred()) {
            PyErr_SetString(PyExc_TypeError, "not a count");
        }
        return -1;
    }
    PyObject *after = PyLong_FromLong(number + step);
    if (!after) {
        return -1;
    }
    replace(object, slot, after);
    return 0;
}

/* Calls a method that returns nothing. */
static int
tell(Crew *self, PyObject *name, PyObject *first, PyObject *second, PyObject *third, PyObject *fourth,
     PyObject *fifth)
{
    PyObject *all[] = {(PyObject *)self, first, second, third, fourth, fifth};
    size_t count = 1;
    while (count < 6 && all[count]) {
        count++;
    }
    PyObject *nothing = PyObject_VectorcallMethod(name, all, count | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
    Py_XDECREF(nothing);
    return nothing ? 0 : -1;
}

/* Whether a request, which came at this time, may run, and is counted then; if not, it has been answered, or waits. */
static int
take_in(Crew *self, State *state, PyObject *request, PyObject *now)
{
    const Py_ssize_t *places = state->places;
    PyObject *account = at(self->meter, places[METER_ACCOUNT]), *known = at(account, places[ACCOUNT_KNOWN]);
    PyObject *tally = Py_XNewRef(PyDict_GetItemWithError(known, PyTuple_GET_ITEM(request, NAME)));
    if (!tally) {
        if (PyErr_Occurred()) {
            return -1;
        }
        PyObject *may = PyObject_CallMethodObjArgs((PyObject *)self, state->take_in, request, now, NULL);
        int runs = may ? PyObject_IsTrue(may) : -1;
        Py_XDECREF(may);
        return runs;
    }
    int failed = add(tally, places[TALLY_CALLS], 1);
    replace(tally, places[TALLY_CALLED_AT], Py_NewRef(now));
    Py_DECREF(tally);
    if (failed) {
        return -1;
    }
    PyObject *admission = Py_NewRef(self->admission);
    PyObject *running = at(admission, places[ADMISSION_RUNNING]), *open = at(admission, places[ADMISSION_OPEN]);
    int runs = PyObject_RichCompareBool(running, open, Py_LT);
    if (runs > 0) {
        PyObject *accepts = PyObject_GetAttr(at(admission, places[ADMISSION_GATE]), state->accepts_calls);
        runs = accepts ? PyObject_IsTrue(accepts) : -1;
        Py_XDECREF(accepts);
    }
    if (runs > 0) {
        runs = add(admission, places[ADMISSION_RUNNING], 1) ? -1 : 1;
    }
    else if (!runs) {
        PyObject *may = PyObject_CallMethodObjArgs((PyObject *)self, state->admit, request, NULL);
        runs = may ? PyObject_IsTrue(may) : -1;
        Py_XDECREF(may);
    }
    Py_DECREF(admission);
    return runs;
}

/* Sends the answer of a handler that never blocked. */
static int
answer_well(Crew *self, State *state, PyObject *request, PyObject *answer, PyObject *now)
{
    const Py_ssize_t *places = state->places;
    PyObject *admission = Py_NewRef(self->admission), *turns = at(admission, places[ADMISSION_TURNS]);
    int failed = 0;
    if (at(admission, places[ADMISSION_LIMIT]) == Py_None && PyDict_CheckExact(turns) && !PyDict_GET_SIZE(turns)) {
        failed = add(admission, places[ADMISSION_RUNNING], -1);
        replace(admission, places[ADMISSION_LEFT_AT], Py_NewRef(Py_None));
    }
    else {
        PyObject *nothing = PyObject_CallMethodOneArg(admission, state->leave, now);
        failed = nothing ? 0 : -1;
        Py_XDECREF(nothing);
    }
    Py_DECREF(admission);
    if (failed) {
        return -1;
    }
    if (!self->closed && Py_TYPE(answer) == state->answer && PyTuple_GET_ITEM(answer, 0) == state->reply
        && PyTuple_GET_ITEM(answer, 2) == Py_None) {
        PyObject *all[] = {Py_NewRef(self->protocol), request, PyTuple_GET_ITEM(answer, 1)};
        PyObject *nothing =
            PyObject_VectorcallMethod(state->send_reply, all, 3 | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
        Py_DECREF(all[0]);
        if (nothing) {
            Py_DECREF(nothing);
            return 0;
        }
        if (!PyErr_ExceptionMatches(PyExc_Exception)) {
            return -1;
        }
        PyErr_Clear();  /* it is refused again there, and what is refused is answered */
    }
    return tell(self, state->answer_name, request, answer, NULL, NULL, NULL);
}

/* Runs a request that has a place. */
static int
run_request(Crew *self, State *state, PyObject *request, PyObject *worker, PyObject *now)
{
    int in_front = is_true(state, worker, WORKER_IN_FRONT);
    if (in_front < 0) {
        return -1;
    }
    if (!in_front || PyFloat_AS_DOUBLE(now) - self->flushed_at > state->flush_after) {
        return tell(self, state->run, request, worker, now, NULL, NULL);
    }
    PyObject *serving = Py_NewRef(self->serving), *dispatch = Py_NewRef(self->dispatch), *error = NULL;
    PyObject *answer = NULL;
    int failed = PyDict_SetItem(serving, worker, request);
    if (!failed) {
        PyObject *account = at(self->meter, state->places[METER_ACCOUNT]);
        PyObject *caller = Py_NewRef(at(account, state->places[ACCOUNT_CALLER])), *peer = Py_NewRef(self->peer);
        PyObject *all[] = {NULL, request, peer, now, caller};
        self->used_at = PyFloat_AS_DOUBLE(now);
        answer = PyObject_Vectorcall(dispatch, all + 1, 4 | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
        Py_DECREF(caller);
        Py_DECREF(peer);
        if (!answer) {
            error = take_error();
        }
        in_front = is_true(state, worker, WORKER_IN_FRONT);
        if (answer && in_front > 0 && PyDict_GetItemWithError(serving, worker) == request) {
            failed = PyDict_DelItem(serving, worker);
            failed = failed ? failed : answer_well(self, state, request, answer, now);
        }
        else if (PyErr_Occurred()) {
            failed = -1;
        }
        else {
            failed = tell(self, state->finish, request, worker, now, answer ? answer : Py_None,
                          error ? error : Py_None);
        }
    }
    Py_XDECREF(error);
    Py_XDECREF(answer);
    Py_DECREF(serving);
    Py_DECREF(dispatch);
    return failed;
}

/* As Outbox.push, but that nobody is told whether bytes are left. */
static int
push(Crew *self, const State *state, PyObject *chunk)
{
    PyObject *outbox = Py_NewRef(self->outbox), *send = NULL, *sent = NULL;
    Py_ssize_t unsent = size_of(state, outbox, OUTBOX_UNSENT), size = PyObject_Size(chunk);
    int failed = unsent < 0 || size < 0 ? -1 : 0;
    if (!failed && unsent) {
        failed = done(ask(outbox, state->push, chunk, NULL));
    }
    else if (!failed && size) {
        send = get(state, outbox, OUTBOX_SEND);
        sent = send ? PyObject_CallOneArg(send, chunk) : NULL;
        if (send && !sent && PyErr_ExceptionMatches(PyExc_OSError)) {
            PyObject *error = take_error();
            sent = ask(outbox, state->receive_failure, error, NULL);
            Py_DECREF(error);
        }
        Py_ssize_t count = sent ? PyLong_AsSsize_t(sent) : -1;
        failed = count == -1 && PyErr_Occurred() ? -1 : 0;
        if (!failed && count < size) {
            failed = done(ask(outbox, state->keep, chunk, sent));
        }
    }
    Py_XDECREF(send);
    Py_XDECREF(sent);
    Py_DECREF(outbox);
    return failed;
}

/* Nothing is left to run, or the slice is used up. */
static int
leave_off(Crew *self, const State *state, PyObject *worker)
{
    int in_front = is_true(state, worker, WORKER_IN_FRONT);
    if (in_front <= 0) {
        return in_front ? -1 : tell(self, state->work_soon, NULL, NULL, NULL, NULL, NULL);
    }
    if (!self->closed) {
        PyObject *protocol = Py_NewRef(self->protocol), *chunk = ask(protocol, state->data_to_send, NULL, NULL);
        Py_DECREF(protocol);
        if (!chunk || push(self, state, chunk) < 0) {
            Py_XDECREF(chunk);
            return -1;
        }
        Py_DECREF(chunk);
    }
    self->is_sent = 1;
    return 0;
}

/* Whether all is there that a connection needs; else with an exception. */
static int
is_complete(Crew *self, const State *state)
{
    if (!state->answer || !state->open || !self->protocol || !self->meter || !self->share || !self->peer
        || !self->serving || !PyDict_CheckExact(self->serving) || !self->dispatch || !self->queue || !self->admission
        || !self->clock || !self->admitted || !self->greenlets || !self->intake || !self->outbox || !self->turns
        || Py_TYPE(self->meter) != state->meter || Py_TYPE(self->admission) != state->admission) {
        PyErr_SetString(PyExc_TypeError, "requests are run for one worker, on a connection that is complete");
        return 0;
    }
    return 1;
}

PyDoc_STRVAR(run_requests_doc, "_run_requests(worker)\n--\n\n\
Runs the waiting requests in a worker, until the slice of time is used up, as the connection does in Python.");

static PyObject *
run_requests(Crew *self, PyTypeObject *class, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
    State *state = PyType_GetModuleState(class);
    int failed = 0;
    if (!is_complete(self, state)) {
        return NULL;
    }
    if (count != 1 || names) {
        PyErr_SetString(PyExc_TypeError, "requests are run for one worker");
        return NULL;
    }
    while (!failed) {
        PyObject *now = PyObject_CallNoArgs(self->clock), *request = NULL;
        if (!now || !PyFloat_CheckExact(now)) {
            if (now) {
                PyErr_SetString(PyExc_TypeError, "the time is a float");
            }
            failed = -1;
        }
        else if (PyFloat_AS_DOUBLE(now) > self->turn_ends) {
            self->turn_is_over = 1;
            Py_DECREF(now);
            break;
        }
        else {
            Py_ssize_t waiting = PyObject_Size(self->admitted);
            if (waiting > 0) {
                failed = tell(self, state->run_admitted, args[0], now, NULL, NULL, NULL);
            }
            else if (!waiting) {
                PyObject *protocol = Py_NewRef(self->protocol);
                request = PyObject_CallMethodNoArgs(protocol, state->next_request);
                Py_DECREF(protocol);
                if (request == Py_None) {
                    Py_DECREF(request);
                    Py_DECREF(now);
                    break;
                }
                failed = request ? 0 : -1;
            }
            else {
                failed = -1;
            }
        }
        if (request && !failed) {
            int runs = take_in(self, state, request, now);
            failed = runs > 0 ? run_request(self, state, request, args[0], now) : runs;
        }
        Py_XDECREF(request);
        Py_XDECREF(now);
    }
    if (failed || leave_off(self, state, args[0])) {
        return NULL;
    }
    Py_RETURN_NONE;
}

/* Whether anything waits to be run; -1 with an exception. */
static int
has_work(Crew *self, const State *state)
{
    Py_ssize_t waiting = PyObject_Size(self->admitted);
    waiting = waiting ? waiting : size_of(state, self->protocol, PROTOCOL_READY);
    return waiting > 0 ? 1 : (int)waiting;
}

/* As Turns.charge. */
static int
charge(Crew *self, const State *state, double used)
{
    PyObject *turns = Py_NewRef(self->turns), *ask_round = get(state, turns, TURNS_ROUND_OF);
    PyObject *now = ask_round ? PyObject_CallNoArgs(ask_round) : NULL, *before = get(state, turns, TURNS_ROUND);
    int same = now && before ? PyObject_RichCompareBool(now, before, Py_EQ) : -1;
    int failed = same < 0 ? -1 : same ? 0 : set(state, turns, TURNS_ROUND, now);
    PyObject *spent = !failed && same ? get(state, turns, TURNS_SPENT) : NULL;
    double seconds = used + (spent ? PyFloat_AsDouble(spent) : 0.0);
    PyObject *sum = failed || PyErr_Occurred() ? NULL : PyFloat_FromDouble(seconds);
    failed = sum ? set(state, turns, TURNS_SPENT, sum) : -1;
    Py_XDECREF(ask_round);
    Py_XDECREF(now);
    Py_XDECREF(before);
    Py_XDECREF(spent);
    Py_XDECREF(sum);
    Py_DECREF(turns);
    return failed;
}

/* What follows when all has been run, as usual: nothing, or counting what is held. */
static int
end_turn(Crew *self, const State *state, double used)
{
    PyObject *protocol = Py_NewRef(self->protocol), *now = get(state, protocol, PROTOCOL_STATE);
    Py_ssize_t unsent = size_of(state, self->outbox, OUTBOX_UNSENT);
    int full = is_true(state, self->outbox, OUTBOX_IS_FULL), reads = is_true(state, self->intake, INTAKE_IS_READING);
    int failed = !now || unsent < 0 || full < 0 || reads < 0 ? -1 : 0;
    if (!failed && (used > state->lengthy || !self->is_sent || self->closed || now != state->open || full || !reads)) {
        PyObject *seconds = PyFloat_FromDouble(used);
        failed = seconds ? tell(self, state->end_turn, seconds, NULL, NULL, NULL, NULL) : -1;
        Py_XDECREF(seconds);
    }
    else if (!failed && !(failed = used > state->notable ? charge(self, state, used) : 0)) {
        int whole = unsent || self->holds ? 0 : is_true(state, protocol, PROTOCOL_IS_WHOLE);
        Py_ssize_t active = whole > 0 ? size_of(state, protocol, PROTOCOL_ACTIVE) : whole ? -1 : 1;
        if (!active) {
            self->received = 0;
        }
        else {
            failed = active < 0 ? -1 : tell(self, state->count_held, NULL, NULL, NULL, NULL, NULL);
        }
    }
    Py_XDECREF(now);
    Py_DECREF(protocol);
    return failed;
}

/* Has the waiting requests run until the slice of time is used up, which began at this time. */
static int
work_off(Crew *self, const State *state, double began)
{
    int failed = 0;
    self->turn_ends = began + state->slice;
    self->turn_is_over = self->is_sent = 0;
    while (!failed && !self->turn_is_over) {
        int more = has_work(self, state);
        if (more <= 0) {
            failed = more;
            break;
        }
        self->is_sent = 0;
        PyObject *greenlets = Py_NewRef(self->greenlets);
        PyObject *work = PyObject_GetAttr((PyObject *)self, state->run_requests);
        PyObject *ended = work ? ask(greenlets, state->begin, work, NULL) : NULL;
        int has_ended = ended ? PyObject_IsTrue(ended) : -1;
        failed = has_ended > 0 ? 0 : has_ended ? -1 : tell(self, state->part, NULL, NULL, NULL, NULL, NULL);
        Py_XDECREF(ended);
        Py_XDECREF(work);
        Py_DECREF(greenlets);
    }
    PyObject *now = failed ? NULL : PyObject_CallNoArgs(self->clock);
    double moment = now ? PyFloat_AsDouble(now) : -1;
    Py_XDECREF(now);
    return !now || (moment == -1 && PyErr_Occurred()) ? -1 : end_turn(self, state, moment - began);
}

PyDoc_STRVAR(receive_doc, "receive(chunk, now, wait)\n--\n\n\
In the hub. Takes bytes from the socket, and has the requests run: now, or at the connection's next turn.");

static PyObject *
receive(Crew *self, PyTypeObject *class, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
    State *state = PyType_GetModuleState(class);
    if (!is_complete(self, state)) {
        return NULL;
    }
    if (count != 3 || names || !PyBytes_Check(args[0]) || !PyFloat_Check(args[1])) {
        PyErr_SetString(PyExc_TypeError, "receive() takes bytes, a time, and whether to wait");
        return NULL;
    }
    if (!PyBytes_GET_SIZE(args[0]) || args[2] != Py_False) {
        return ask((PyObject *)self, state->receive_apart, args[0], args[1]);
    }
    PyObject *protocol = Py_NewRef(self->protocol);
    int news = done(ask(protocol, state->receive_data, args[0], args[1]));
    self->received += PyBytes_GET_SIZE(args[0]);
    news = news ? news : is_true(state, protocol, PROTOCOL_HAS_NEWS);
    Py_DECREF(protocol);
    if (news < 0 || (news && tell(self, state->take_news, NULL, NULL, NULL, NULL, NULL))) {
        return NULL;
    }
    self->flushed_at = PyFloat_AS_DOUBLE(args[1]);
    return work_off(self, state, self->flushed_at) ? NULL : Py_NewRef(Py_None);
}

PyDoc_STRVAR(work_doc, "_work(began)\n--\n\n\
In the hub. Has the waiting requests run until the slice of time is used up, and sends the answers.");

static PyObject *
work(Crew *self, PyTypeObject *class, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
    State *state = PyType_GetModuleState(class);
    if (!is_complete(self, state)) {
        return NULL;
    }
    if (count != 1 || names || !PyFloat_Check(args[0])) {
        PyErr_SetString(PyExc_TypeError, "_work() takes a time");
        return NULL;
    }
    return work_off(self, state, PyFloat_AS_DOUBLE(args[0])) ? NULL : Py_NewRef(Py_None);
}

static PyMethodDef crew_methods[] = {
    {"receive", (PyCFunction)(void (*)(void))receive, METH_METHOD | METH_FASTCALL | METH_KEYWORDS, receive_doc},
    {"_work", (PyCFunction)(void (*)(void))work, METH_METHOD | METH_FASTCALL | METH_KEYWORDS, work_doc},
    {"_run_requests", (PyCFunction)(void (*)(void))run_requests, METH_METHOD | METH_FASTCALL | METH_KEYWORDS,
     run_requests_doc},
    {NULL, NULL, 0, NULL},
};

static int
traverse_crew(Crew *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->protocol);
    Py_VISIT(self->meter);
    Py_VISIT(self->share);
    Py_VISIT(self->peer);
    Py_VISIT(self->serving);
    Py_VISIT(self->dispatch);
    Py_VISIT(self->queue);
    Py_VISIT(self->admission);
    Py_VISIT(self->clock);
    Py_VISIT(self->admitted);
    Py_VISIT(self->greenlets);
    Py_VISIT(self->intake);
    Py_VISIT(self->outbox);
    Py_VISIT(self->turns);
    return 0;
}

static int
clear_crew(Crew *self)
{
    Py_CLEAR(self->protocol);
    Py_CLEAR(self->meter);
    Py_CLEAR(self->share);
    Py_CLEAR(self->peer);
    Py_CLEAR(self->serving);
    Py_CLEAR(self->dispatch);
    Py_CLEAR(self->queue);
    Py_CLEAR(self->admission);
    Py_CLEAR(self->clock);
    Py_CLEAR(self->admitted);
    Py_CLEAR(self->greenlets);
    Py_CLEAR(self->intake);
    Py_CLEAR(self->outbox);
    Py_CLEAR(self->turns);
    return 0;
}

static void
dealloc_crew(Crew *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    clear_crew(self);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyType_Slot crew_slots[] = {
    {Py_tp_doc, "How a connection runs requests."},
    {Py_tp_methods, crew_methods},
    {Py_tp_members, crew_members},
    {Py_tp_traverse, traverse_crew},
    {Py_tp_clear, clear_crew},
    {Py_tp_dealloc, dealloc_crew},
    {0, NULL},
};

static PyType_Spec crew_spec = {
    .name = "zkrpc.server._compiled.Crew",
    .basicsize = sizeof(Crew),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = crew_slots,
};

/* The reading end of a connection */

enum { LIGHT = 1024, LONG_MESSAGE = 16 * 1024 };  /* as in intake.py */

typedef struct {
    PyObject_HEAD
    PyObject *owner, *recv, *turns;
    Py_ssize_t size;
    char is_reading, is_waiting;
} Reader;

/* Whether what comes next may take long for its size; -1 with an exception. */
static int
may_take_long(const State *state, PyObject *protocol)
{
    PyObject *inflow = get(state, protocol, PROTOCOL_INFLOW);
    if (!inflow) {
        return -1;
    }
    PyObject *it;
    int truth;
    if (Py_TYPE(inflow) == state->known[INFLOW]) {
        PyObject *since = get(state, inflow, INFLOW_PARTIAL_SINCE);
        truth = since ? since != Py_None : -1;
        Py_XDECREF(since);
        if (!truth) {
            it = get(state, inflow, INFLOW_INFLATION);
            truth = it ? is_true(state, it, INFLATION_USED) : -1;
            Py_XDECREF(it);
        }
    }
    else {
        it = PyObject_GetAttr(inflow, state->may_take_long);
        truth = it ? PyObject_IsTrue(it) : -1;
        Py_XDECREF(it);
    }
    Py_DECREF(inflow);
    return truth;
}

/* Gives the owner what was read, wanted bytes at most. */
static int
hand_over(Reader *self, State *state, PyObject *owner, PyObject *chunk, PyObject *now, Py_ssize_t wanted)
{
    Py_ssize_t size = PyObject_Size(chunk);
    int wait = size < 0 ? -1 : 0;
    if (size > LIGHT && self->is_reading) {
        PyObject *spent = ask(self->turns, state->is_spent, NULL, NULL);
        wait = spent ? PyObject_IsTrue(spent) : -1;
        Py_XDECREF(spent);
    }
    if (wait < 0) {
        return -1;
    }
    if (!wait && size == wanted && size >= LONG_MESSAGE && size != self->size) {
        return done(ask((PyObject *)self, state->read_on, chunk, now));
    }
    PyObject *all[] = {owner, chunk, now, wait ? Py_True : Py_False};
    int failed = done(PyObject_VectorcallMethod(state->receive, all, 4 | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL));
    if (!failed && size == wanted && size == self->size) {
        failed = done(ask((PyObject *)self, state->widen, now, NULL));
    }
    return failed;
}

PyDoc_STRVAR(read_doc, "_read()\n--\n\n\
In the hub. Reads once, but for long messages: if there is more, the hub looks at other sockets before it comes back.");

static PyObject *
read_once(Reader *self, PyTypeObject *class, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
    State *state = PyType_GetModuleState(class);
    (void)args;
    if (count || names || !self->owner || self->owner == Py_None || !self->recv || !self->turns) {
        PyErr_SetString(PyExc_TypeError, "_read() takes nothing, and reads for somebody");
        return NULL;
    }
    PyObject *owner = Py_NewRef(self->owner), *protocol, *now = NULL, *chunk = NULL;
    int is_ours = PyObject_TypeCheck(owner, state->crew) && ((Crew *)owner)->protocol && ((Crew *)owner)->clock;
    protocol = is_ours ? Py_NewRef(((Crew *)owner)->protocol) : PyObject_GetAttr(owner, state->protocol);
    Py_ssize_t size = protocol ? number_of(state, protocol, PROTOCOL_WANTED) : -1;
    int failed = size >= 0 ? may_take_long(state, protocol) : -1;
    Py_XDECREF(protocol);
    size = size ? size : self->size;
    if (failed > 0) {
        Py_DECREF(owner);
        return ask((PyObject *)self, state->read_in_python, NULL, NULL);
    }
    if (!failed) {
        now = is_ours ? PyObject_CallNoArgs(((Crew *)owner)->clock) : ask(owner, state->clock, NULL, NULL);
    }
    if (now) {
        PyObject *recv = Py_NewRef(self->recv), *wanted = PyLong_FromSsize_t(size);
        chunk = wanted ? PyObject_CallOneArg(recv, wanted) : NULL;
        Py_DECREF(recv);
        Py_XDECREF(wanted);
        if (chunk) {
            failed = hand_over(self, state, owner, chunk, now, size);
        }
        else if (wanted && PyErr_ExceptionMatches(PyExc_OSError)) {
            PyObject *error = take_error();
            failed = done(ask((PyObject *)self, state->unread, error, now));
            Py_DECREF(error);
        }
        else {
            failed = -1;
        }
    }
    Py_XDECREF(chunk);
    Py_DECREF(owner);
    Py_XDECREF(now);
    return failed || !now ? NULL : Py_NewRef(Py_None);
}

static PyMethodDef reader_methods[] = {
    {"_read", (PyCFunction)(void (*)(void))read_once, METH_METHOD | METH_FASTCALL | METH_KEYWORDS, read_doc},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef reader_members[] = {
    {"_owner", T_OBJECT_EX, offsetof(Reader, owner), 0, NULL},
    {"_recv", T_OBJECT_EX, offsetof(Reader, recv), 0, NULL},
    {"_turns", T_OBJECT_EX, offsetof(Reader, turns), 0, NULL},
    {"_size", T_PYSSIZET, offsetof(Reader, size), 0, NULL},
    {"is_reading", T_BOOL, offsetof(Reader, is_reading), 0, NULL},
    {"is_waiting", T_BOOL, offsetof(Reader, is_waiting), 0, NULL},
    {NULL, 0, 0, 0, NULL},
};

static int
traverse_reader(Reader *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->owner);
    Py_VISIT(self->recv);
    Py_VISIT(self->turns);
    return 0;
}

static int
clear_reader(Reader *self)
{
    Py_CLEAR(self->owner);
    Py_CLEAR(self->recv);
    Py_CLEAR(self->turns);
    return 0;
}

static void
dealloc_reader(Reader *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    clear_reader(self);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyType_Slot reader_slots[] = {
    {Py_tp_doc, "How a connection reads."},
    {Py_tp_methods, reader_methods},
    {Py_tp_members, reader_members},
    {Py_tp_traverse, traverse_reader},
    {Py_tp_clear, clear_reader},
    {Py_tp_dealloc, dealloc_reader},
    {0, NULL},
};

static PyType_Spec reader_spec = {
    .name = "zkrpc.server._compiled.Reader",
    .basicsize = sizeof(Reader),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = reader_slots,
};

/* Workers */

typedef struct {
    PyObject_HEAD
    PyObject *free;
    Py_ssize_t most_free;
    char dismissed;
} Pool;

PyDoc_STRVAR(begin_doc, "begin(work)\n--\n\n\
In the hub: runs the work in a worker. False if a handler has blocked, so that the work goes on later.");

static PyObject *
begin(Pool *self, PyTypeObject *class, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
    State *state = PyType_GetModuleState(class);
    if (count != 1 || names || !self->free || !PyList_CheckExact(self->free)) {
        PyErr_SetString(PyExc_TypeError, "begin() takes some work, in a pool that is complete");
        return NULL;
    }
    Py_ssize_t last = PyList_GET_SIZE(self->free) - 1;
    PyObject *worker;
    if (last < 0) {
        worker = ask((PyObject *)self, state->make_worker, NULL, NULL);
    }
    else {
        worker = Py_NewRef(PyList_GET_ITEM(self->free, last));
        if (PyList_SetSlice(self->free, last, last + 1, NULL) < 0) {
            Py_CLEAR(worker);
        }
    }
    PyObject *left = NULL;
    if (worker && !set(state, worker, WORKER_WORK, args[0]) && !set(state, worker, WORKER_IN_FRONT, Py_True)
        && !done(ask(worker, state->switch_to, NULL, NULL)) && !set(state, worker, WORKER_IN_FRONT, Py_False)) {
        left = get(state, worker, WORKER_WORK);
    }
    Py_XDECREF(worker);
    Py_XDECREF(left);
    return left ? PyBool_FromLong(left == Py_None) : NULL;
}

/* Keeps a worker that is done as a free one; 0 if there are enough, -1 with an exception. */
static int
welcome(Pool *self, PyObject *worker)
{
    if (self->dismissed || !self->free || !PyList_CheckExact(self->free)
        || PyList_GET_SIZE(self->free) >= self->most_free) {
        return 0;
    }
    return PyList_Append(self->free, worker) < 0 ? -1 : 1;
}

/* Whether a worker has work; -1 with an exception. */
static int
is_busy(const State *state, PyObject *worker)
{
    PyObject *work = get(state, worker, WORKER_WORK);
    Py_XDECREF(work);
    return work ? work != Py_None : -1;
}

PyDoc_STRVAR(employ_doc, "employ(worker, hub)\n--\n\n\
In a worker: does its work, and whatever ``begin`` gives it afterwards, until it is not needed any more.");

static PyObject *
employ(Pool *self, PyTypeObject *class, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
    State *state = PyType_GetModuleState(class);
    if (count != 2 || names) {
        PyErr_SetString(PyExc_TypeError, "employ() takes a worker and the hub");
        return NULL;
    }
    PyObject *worker = args[0], *hub = args[1];
    int busy = is_busy(state, worker);
    while (busy > 0) {
        PyObject *work = get(state, worker, WORKER_WORK), *nothing = work ? PyObject_CallOneArg(work, worker) : NULL;
        Py_XDECREF(work);
        if (done(nothing) || set(state, worker, WORKER_WORK, Py_None)) {
            return NULL;
        }
        int kept = welcome(self, worker);
        if (kept <= 0) {
            busy = kept;
            break;
        }
        while (!(busy = is_busy(state, worker)) && !self->dismissed) {
            if (done(ask(hub, state->switch_to, NULL, NULL))) {
                return NULL;
            }
        }
    }
    return busy < 0 ? NULL : Py_NewRef(Py_None);
}

static PyMethodDef pool_methods[] = {
    {"begin", (PyCFunction)(void (*)(void))begin, METH_METHOD | METH_FASTCALL | METH_KEYWORDS, begin_doc},
    {"employ", (PyCFunction)(void (*)(void))employ, METH_METHOD | METH_FASTCALL | METH_KEYWORDS, employ_doc},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef pool_members[] = {
    {"_free", T_OBJECT_EX, offsetof(Pool, free), 0, NULL},
    {"_most_free", T_PYSSIZET, offsetof(Pool, most_free), 0, NULL},
    {"dismissed", T_BOOL, offsetof(Pool, dismissed), 0, NULL},
    {NULL, 0, 0, 0, NULL},
};

static int
traverse_pool(Pool *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->free);
    return 0;
}

static int
clear_pool(Pool *self)
{
    Py_CLEAR(self->free);
    return 0;
}

static void
dealloc_pool(Pool *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    clear_pool(self);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyType_Slot pool_slots[] = {
    {Py_tp_doc, "How workers are given work."},
    {Py_tp_methods, pool_methods},
    {Py_tp_members, pool_members},
    {Py_tp_traverse, traverse_pool},
    {Py_tp_clear, clear_pool},
    {Py_tp_dealloc, dealloc_pool},
    {0, NULL},
};

static PyType_Spec pool_spec = {
    .name = "zkrpc.server._compiled.Pool",
    .basicsize = sizeof(Pool),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = pool_slots,
};

/* Where objects of a class hold a member; 0 if they do not. */
static Py_ssize_t
place_of(PyTypeObject *class, PyObject *name, char *type)
{
    PyObject *found = PyObject_GetAttr((PyObject *)class, name);
    const struct PyMemberDef *member = found && Py_TYPE(found) == &PyMemberDescr_Type
        ? ((PyMemberDescrObject *)found)->d_member : NULL;
    int fits = member && !(member->flags & READONLY)
        && (member->type == T_OBJECT_EX || member->type == T_BOOL || member->type == T_PYSSIZET);
    Py_ssize_t place = fits ? member->offset : 0;
    *type = fits ? (char)member->type : 0;
    Py_XDECREF(found);
    return place;
}

PyDoc_STRVAR(know_doc, "know(name, class)\n--\n\n\
Objects of this class are looked into from here on. TypeError if they lack a member, or are no class of these.");

static PyObject *
know(PyObject *module, PyObject *args)
{
    State *state = PyModule_GetState(module);
    const char *name;
    PyTypeObject *class;
    if (!PyArg_ParseTuple(args, "sO!", &name, &PyType_Type, &class)) {
        return NULL;
    }
    int number = 0;
    while (number < CLASSES && strcmp(class_names[number], name)) {
        number++;
    }
    int fits = number < CLASSES;
    for (int member = 0; fits && member < MEMBER_COUNT; member++) {
        if (class_of[member] == number) {
            state->member[member] = place_of(class, state->text[member], &state->type[member]);
            fits = state->member[member] > 0;
        }
    }
    if (!fits) {
        return PyErr_Occurred() ? NULL : PyErr_Format(PyExc_TypeError, "%s is not as it should be", name);
    }
    Py_XSETREF(state->known[number], (PyTypeObject *)Py_NewRef((PyObject *)class));
    Py_RETURN_NONE;
}

PyDoc_STRVAR(learn_doc,
             "learn(meter, account, tally, admission, answer, reply, flush_after, slice, notable, lengthy, is_open)\n--\n\n\
Says what all connections work with: classes, what marks a reply, seconds after which replies are sent, those of a slice,\n\
those from which a turn is charged, those from which it is a long one, and the state of a connection on which all is well.");

static PyObject *
learn(PyObject *module, PyObject *args)
{
    State *state = PyModule_GetState(module);
    PyTypeObject *meter, *account, *tally, *admission, *answer;
    PyObject *reply, *is_open;
    double flush_after, slice, notable, lengthy;
    if (!PyArg_ParseTuple(args, "O!O!O!O!O!OddddO", &PyType_Type, &meter, &PyType_Type, &account, &PyType_Type, &tally,
                          &PyType_Type, &admission, &PyType_Type, &answer, &reply, &flush_after, &slice, &notable,
                          &lengthy, &is_open)) {
        return NULL;
    }
    PyTypeObject *const owners[PLACES] = {
        meter, account, account, tally, tally, admission, admission, admission, admission, admission, admission
    };
    for (int place = 0; place < PLACES; place++) {
        if (!find_slot(&state->places[place], owners[place], place_names[place])) {
            return NULL;
        }
    }
    Py_XSETREF(state->meter, (PyTypeObject *)Py_NewRef(meter));
    Py_XSETREF(state->admission, (PyTypeObject *)Py_NewRef(admission));
    Py_XSETREF(state->answer, (PyTypeObject *)Py_NewRef(answer));
    Py_XSETREF(state->reply, Py_NewRef(reply));
    Py_XSETREF(state->open, Py_NewRef(is_open));
    state->flush_after = flush_after;
    state->slice = slice;
    state->notable = notable;
    state->lengthy = lengthy;
    Py_RETURN_NONE;
}

static PyMethodDef functions[] = {
    {"know", know, METH_VARARGS, know_doc},
    {"learn", learn, METH_VARARGS, learn_doc},
    {NULL, NULL, 0, NULL},
};

/* The names that are looked up. */
static int
intern(State *state)
{
    const struct {
        PyObject **place;
        const char *name;
    } names[] = {
        {&state->in_python, "dispatch_in_python"}, {&state->settle, "_settle"}, {&state->raised, "_settle_error"},
        {&state->get, "get"}, {&state->settle_all, "settle"}, {&state->take_in, "_take_in"}, {&state->admit, "_admit"},
        {&state->accepts_calls, "accepts_calls"}, {&state->leave, "leave"}, {&state->send_reply, "send_reply"},
        {&state->answer_name, "_answer"}, {&state->run, "_run"},
        {&state->finish, "_finish"}, {&state->run_admitted, "_run_admitted"},
        {&state->next_request, "next_request"},
        {&state->work_soon, "_work_soon"}, {&state->begin, "begin"}, {&state->clock, "clock"},
        {&state->count_held, "_count_held"}, {&state->data_to_send, "data_to_send"}, {&state->end_turn, "_end_turn"},
        {&state->is_spent, "is_spent"}, {&state->keep, "keep"}, {&state->make_worker, "_make_worker"},
        {&state->may_take_long, "may_take_long"}, {&state->part, "_part"}, {&state->protocol, "protocol"},
        {&state->push, "push"}, {&state->read_in_python, "_read_in_python"}, {&state->receive, "receive"},
        {&state->receive_apart, "_receive_apart"}, {&state->receive_data, "receive_data"},
        {&state->receive_failure, "receive_failure"}, {&state->run_requests, "_run_requests"},
        {&state->switch_to, "switch"}, {&state->take_news, "_take_news"}, {&state->unread, "_unread"},
        {&state->widen, "_widen"},
        {&state->read_on, "_read_on"},
    };
    for (size_t place = 0; place < sizeof(names) / sizeof(*names); place++) {
        if (!(*names[place].place = PyUnicode_InternFromString(names[place].name))) {
            return 0;
        }
    }
    for (int member = 0; member < MEMBER_COUNT; member++) {
        if (!(state->text[member] = PyUnicode_InternFromString(name_of[member]))) {
            return 0;
        }
    }
    return 1;
}

static int
fill_module(PyObject *module)
{
    State *state = PyModule_GetState(module);
    PyObject *core = PyType_FromModuleAndSpec(module, &core_spec, NULL);
    PyObject *crew = core ? PyType_FromModuleAndSpec(module, &crew_spec, NULL) : NULL;
    PyObject *reader = crew ? PyType_FromModuleAndSpec(module, &reader_spec, NULL) : NULL;
    PyObject *pool = reader ? PyType_FromModuleAndSpec(module, &pool_spec, NULL) : NULL;
    state->crew = (PyTypeObject *)Py_XNewRef(crew);
    int failed = !pool || PyModule_AddObjectRef(module, "Core", core) < 0
        || PyModule_AddObjectRef(module, "Crew", crew) < 0 || PyModule_AddObjectRef(module, "Reader", reader) < 0
        || PyModule_AddObjectRef(module, "Pool", pool) < 0 || !intern(state)
        || !(state->no_result = PyBytes_FromStringAndSize("", 1));
    Py_XDECREF(core);
    Py_XDECREF(crew);
    Py_XDECREF(reader);
    Py_XDECREF(pool);
    if (failed) {
        return -1;
    }
    return PyModule_AddStringConstant(module, "BUILT_FROM", BUILT_FROM);
}

static int
traverse_module(PyObject *module, visitproc visit, void *arg)
{
    State *state = PyModule_GetState(module);
    Py_VISIT(state->meter);
    Py_VISIT(state->admission);
    Py_VISIT(state->answer);
    Py_VISIT(state->reply);
    Py_VISIT(state->open);
    Py_VISIT(state->crew);
    for (int number = 0; number < CLASSES; number++) {
        Py_VISIT(state->known[number]);
    }
    return 0;  /* texts and bytes lead nowhere */
}

static int
clear_module(PyObject *module)
{
    State *state = PyModule_GetState(module);
    PyObject **const names[] = {
        &state->in_python, &state->settle, &state->raised, &state->get,
        &state->settle_all, &state->take_in, &state->admit, &state->accepts_calls, &state->leave, &state->send_reply,
        &state->answer_name, &state->run, &state->finish, &state->run_admitted,
        &state->next_request, &state->no_result, &state->reply, &state->open,
        &state->work_soon, &state->begin, &state->clock, &state->count_held, &state->data_to_send, &state->end_turn,
        &state->is_spent, &state->keep, &state->make_worker, &state->may_take_long, &state->part, &state->protocol,
        &state->push, &state->read_in_python, &state->receive, &state->receive_apart, &state->receive_data,
        &state->receive_failure, &state->run_requests, &state->switch_to, &state->take_news, &state->unread,
        &state->widen,
        &state->read_on,
    };
    for (size_t place = 0; place < sizeof(names) / sizeof(*names); place++) {
        Py_CLEAR(*names[place]);
    }
    Py_CLEAR(state->meter);
    Py_CLEAR(state->admission);
    Py_CLEAR(state->answer);
    Py_CLEAR(state->crew);
    for (int number = 0; number < CLASSES; number++) {
        Py_CLEAR(state->known[number]);
    }
    for (int member = 0; member < MEMBER_COUNT; member++) {
        Py_CLEAR(state->text[member]);
    }
    return 0;
}

static void
free_module(void *module)
{
    clear_module((PyObject *)module);
}

static PyModuleDef_Slot slots[] = {
    {Py_mod_exec, fill_module},
    {0, NULL},
};

static struct PyModuleDef definition = {
    .m_base = PyModuleDef_HEAD_INIT,
    .m_name = "zkrpc.server._compiled",
    .m_doc = "The compiled part of zkrpc.server.",
    .m_size = sizeof(State),
    .m_methods = functions,
    .m_slots = slots,
    .m_traverse = traverse_module,
    .m_clear = clear_module,
    .m_free = free_module,
};

PyMODINIT_FUNC
PyInit__compiled(void)
{
    return PyModuleDef_Init(&definition);
}
