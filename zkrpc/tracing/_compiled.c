/* Whether a call or a request is of a trace that may be recorded: what each one costs that is not.
   zkrpc/tracing/choosing.py has the same in Python.

   What may be recorded is handed on to Python, which decides; all else goes on without a frame of Python. The dice, the
   context, and whatever is called can do anything, so that nothing of an object is looked at after a call. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <structmember.h>

#ifndef BUILT_FROM
#error "setup.py defines what this is built from"
#endif

enum { HEADERS = 3, REQUEST_SIZE = 11 }; /* of a wire.message.Request */

typedef struct {
    PyObject_HEAD
    vectorcallfunc call;
    PyObject *plain, *other, *dice;
    double ratio;
    PyObject *get_context;       /* of a client */
    PyObject *keys;              /* of a server: headers that say that a request may be recorded, ... */
    PyObject *without;           /* ... and the last headers that had none, which come again and again */
} Chooser;

/* Whether a trace begins here; -1 with an exception. */
static int
begins(Chooser *self)
{
    if (self->ratio <= 0) {
        return 0;
    }
    PyObject *cast = PyObject_CallNoArgs(self->dice);
    double value = cast ? PyFloat_AsDouble(cast) : -1;
    Py_XDECREF(cast);
    return PyErr_Occurred() ? -1 : value < self->ratio;
}

static PyObject *
choose_call(Chooser *self, PyObject *const *args, size_t flags, PyObject *names)
{
    if (PyVectorcall_NARGS(flags) != 1 || names) {
        PyErr_SetString(PyExc_TypeError, "one call is made at a time");
        return NULL;
    }
    int here = begins(self), within = here;
    if (!here) {
        PyObject *context = PyObject_CallNoArgs(self->get_context);
        within = context ? PyObject_IsTrue(context) : -1;
        Py_XDECREF(context);
    }
    if (within < 0) {
        return NULL;
    }
    if (!within) {
        return PyObject_Vectorcall(self->plain, args, flags, NULL);
    }
    PyObject *all[] = {args[0], here ? Py_True : Py_False};
    return PyObject_Vectorcall(self->other, all, 2, NULL);
}

/* Whether headers have one of the keys; -1 with an exception. */
static int
has_any(PyObject *headers, PyObject *keys)
{
    int found = 0;
    for (Py_ssize_t place = 0; !found && place < PyTuple_GET_SIZE(keys); place++) {
        found = PySequence_Contains(headers, PyTuple_GET_ITEM(keys, place));
    }
    return found;
}

static PyObject *
choose_request(Chooser *self, PyObject *const *args, size_t flags, PyObject *names)
{
    if (PyVectorcall_NARGS(flags) != 4 || names || !PyTuple_Check(args[0]) || PyTuple_GET_SIZE(args[0]) != REQUEST_SIZE) {
        PyErr_SetString(PyExc_TypeError, "a request is run with its peer, the time, and who calls");
        return NULL;
    }
    int here = begins(self), may_be = here;
    PyObject *headers = PyTuple_GET_ITEM(args[0], HEADERS);
    if (!here && headers != self->without) {
        may_be = has_any(headers, self->keys);
        if (!may_be) {
            Py_XSETREF(self->without, Py_NewRef(headers));
        }
    }
    if (may_be < 0) {
        return NULL;
    }
    if (!may_be) {
        return PyObject_Vectorcall(self->plain, args, flags, NULL);
    }
    PyObject *all[] = {args[0], args[1], args[2], args[3], here ? Py_True : Py_False};
    return PyObject_Vectorcall(self->other, all, 5, NULL);
}

static int
traverse(Chooser *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->plain);
    Py_VISIT(self->other);
    Py_VISIT(self->dice);
    Py_VISIT(self->get_context);
    Py_VISIT(self->keys);
    Py_VISIT(self->without);
    return 0;
}

static void
dealloc(Chooser *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    Py_XDECREF(self->plain);
    Py_XDECREF(self->other);
    Py_XDECREF(self->dice);
    Py_XDECREF(self->get_context);
    Py_XDECREF(self->keys);
    Py_XDECREF(self->without);
    type->tp_free(self);
    Py_DECREF(type);
}

static Chooser *
make(PyTypeObject *type, PyObject *plain, PyObject *other, PyObject *dice, double ratio)
{
    Chooser *self = (Chooser *)type->tp_alloc(type, 0);
    if (self) {
        self->plain = Py_NewRef(plain);
        self->other = Py_NewRef(other);
        self->dice = Py_NewRef(dice);
        self->ratio = ratio;
    }
    return self;
}

static PyObject *
new_calls(PyTypeObject *type, PyObject *args, PyObject *named)
{
    PyObject *plain, *other, *dice, *get_context;
    double ratio;
    static char *names[] = {"plain", "other", "dice", "ratio", "get_context", NULL};
    if (!PyArg_ParseTupleAndKeywords(args, named, "OOOdO", names, &plain, &other, &dice, &ratio, &get_context)) {
        return NULL;
    }
    Chooser *self = make(type, plain, other, dice, ratio);
    if (self) {
        self->call = (vectorcallfunc)choose_call;
        self->get_context = Py_NewRef(get_context);
    }
    return (PyObject *)self;
}

static PyObject *
new_requests(PyTypeObject *type, PyObject *args, PyObject *named)
{
    PyObject *plain, *other, *dice, *keys;
    double ratio;
    static char *names[] = {"plain", "other", "dice", "ratio", "keys", NULL};
    if (!PyArg_ParseTupleAndKeywords(args, named, "OOOdO!", names, &plain, &other, &dice, &ratio, &PyTuple_Type, &keys)) {
        return NULL;
    }
    Chooser *self = make(type, plain, other, dice, ratio);
    if (self) {
        self->call = (vectorcallfunc)choose_request;
        self->keys = Py_NewRef(keys);
    }
    return (PyObject *)self;
}

static PyMemberDef members[] = {
    {"__vectorcalloffset__", T_PYSSIZET, offsetof(Chooser, call), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

#define SLOTS_OF(text, create) { \
    {Py_tp_doc, text}, \
    {Py_tp_new, create}, \
    {Py_tp_members, members}, \
    {Py_tp_call, PyVectorcall_Call}, \
    {Py_tp_traverse, traverse}, \
    {Py_tp_dealloc, dealloc}, \
    {0, NULL}, \
}
#define FLAGS \
    (Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_HAVE_VECTORCALL | Py_TPFLAGS_IMMUTABLETYPE)

static PyType_Slot calls_slots[] = SLOTS_OF(
    "choose_calls(plain, other, dice, ratio, get_context)\n--\n\nMakes each call of a client in one of two ways.", new_calls);
static PyType_Slot requests_slots[] = SLOTS_OF(
    "choose_requests(plain, other, dice, ratio, keys)\n--\n\nRuns each request of a peer in one of two ways.", new_requests);

static PyType_Spec specs[] = {
    {.name = "zkrpc.tracing._compiled.choose_calls", .basicsize = sizeof(Chooser), .flags = FLAGS, .slots = calls_slots},
    {.name = "zkrpc.tracing._compiled.choose_requests", .basicsize = sizeof(Chooser), .flags = FLAGS, .slots = requests_slots},
};

static int
fill_module(PyObject *module)
{
    for (size_t place = 0; place < sizeof(specs) / sizeof(specs[0]); place++) {
        PyObject *type = PyType_FromModuleAndSpec(module, &specs[place], NULL);
        int failed = !type || PyModule_AddType(module, (PyTypeObject *)type) < 0;
        Py_XDECREF(type);
        if (failed) {
            return -1;
        }
    }
    return PyModule_AddStringConstant(module, "BUILT_FROM", BUILT_FROM);
}

static PyModuleDef_Slot slots[] = {
    {Py_mod_exec, fill_module},
    {0, NULL},
};

static struct PyModuleDef definition = {
    .m_base = PyModuleDef_HEAD_INIT,
    .m_name = "zkrpc.tracing._compiled",
    .m_doc = "The compiled part of zkrpc.tracing.",
    .m_slots = slots,
};

PyMODINIT_FUNC
PyInit__compiled(void)
{
    return PyModuleDef_Init(&definition);
}
