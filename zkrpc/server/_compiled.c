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

typedef struct {
    Py_ssize_t slots[SLOTS];
    PyObject *in_python, *settle, *raised, *get, *seconds, *urgent, *settle_all;
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
    int done = -1;
    double took = 0.0, most = 0.0;
    PyObject *gathered = NULL, *urgent = NULL, *lasted = NULL;
    PyObject *clock = Py_NewRef(self->clock);
    PyObject *ended = PyObject_CallNoArgs(clock);
    Py_DECREF(clock);
    if (ended && (lasted = PyNumber_Subtract(ended, now)) && (gathered = PyObject_GetAttr(recording, state->seconds))
        && (urgent = PyObject_GetAttr(recording, state->urgent)) && PyList_CheckExact(gathered)) {
        done = PyList_Append(gathered, lasted);
        took = PyFloat_AsDouble(lasted);
        most = PyFloat_AsDouble(urgent);
    }
    if (!done && PyErr_Occurred()) {
        done = -1;
    }
    if (!done && (took >= most || PyList_GET_SIZE(gathered) >= self->known.most)) {
        PyObject *nothing = PyObject_CallMethodNoArgs(recording, state->settle_all);
        done = nothing ? 0 : -1;
        Py_XDECREF(nothing);
    }
    Py_XDECREF(ended);
    Py_XDECREF(lasted);
    Py_XDECREF(gathered);
    Py_XDECREF(urgent);
    return done;
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
    PyObject *type, *error, *traceback;
    PyErr_Fetch(&type, &error, &traceback);
    PyErr_NormalizeException(&type, &error, &traceback);
    if (traceback) {
        PyException_SetTraceback(error, traceback);
    }
    PyObject *answer = go_on(self, state->raised, args, caller, entry, call, error);
    Py_XDECREF(type);
    Py_XDECREF(error);
    Py_XDECREF(traceback);
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

/* The offsets of a call's slots. */
static int
find_slots(State *state, PyTypeObject *call)
{
    for (int place = 0; place < SLOTS; place++) {
        PyObject *found = PyObject_GetAttrString((PyObject *)call, slot_names[place]);
        const struct PyMemberDef *member = found && Py_TYPE(found) == &PyMemberDescr_Type
            ? ((PyMemberDescrObject *)found)->d_member : NULL;
        int fits = member && member->type == T_OBJECT_EX && member->offset > 0 && PyDescr_TYPE(found) == call;
        state->slots[place] = fits ? member->offset : 0;
        Py_XDECREF(found);
        if (!fits) {
            PyErr_Format(PyExc_TypeError, "a call has no slot %s", slot_names[place]);
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

static int
fill_module(PyObject *module)
{
    State *state = PyModule_GetState(module);
    PyObject *type = PyType_FromModuleAndSpec(module, &core_spec, NULL);
    int failed = !type || PyModule_AddObjectRef(module, "Core", type) < 0;
    Py_XDECREF(type);
    if (failed || !(state->in_python = PyUnicode_InternFromString("dispatch_in_python"))
        || !(state->settle = PyUnicode_InternFromString("_settle"))
        || !(state->raised = PyUnicode_InternFromString("_settle_error"))
        || !(state->get = PyUnicode_InternFromString("get"))
        || !(state->seconds = PyUnicode_InternFromString("seconds"))
        || !(state->urgent = PyUnicode_InternFromString("urgent"))
        || !(state->settle_all = PyUnicode_InternFromString("settle"))
        || !(state->no_result = PyBytes_FromStringAndSize("", 1))) {
        return -1;
    }
    return PyModule_AddStringConstant(module, "BUILT_FROM", BUILT_FROM);
}

static int
traverse_module(PyObject *Py_UNUSED(module), visitproc Py_UNUSED(visit), void *Py_UNUSED(arg))
{
    return 0;  /* only texts and bytes, which lead nowhere */
}

static int
clear_module(PyObject *module)
{
    State *state = PyModule_GetState(module);
    Py_CLEAR(state->in_python);
    Py_CLEAR(state->settle);
    Py_CLEAR(state->raised);
    Py_CLEAR(state->get);
    Py_CLEAR(state->seconds);
    Py_CLEAR(state->urgent);
    Py_CLEAR(state->settle_all);
    Py_CLEAR(state->no_result);
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
