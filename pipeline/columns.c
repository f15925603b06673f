/* Resamples the columns of an 8-bit image with integer weights of 22 bits: the vertical pass of Pillow's resize, to
   the bit, with the compiler free to work on many columns at once. What it is given is made by pipeline/shrinking.py,
   from sizes in hostile headers: every length is checked here too. */
#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030B0000
#include <Python.h>
#include <stdint.h>

#define BITS 22
#define HALF (1 << (BITS - 1))
#define BLOCK 64

#if defined(__x86_64__) && defined(__GNUC__)
#define FOR_EACH_CPU __attribute__((target_clones("avx2", "default")))
#else
#define FOR_EACH_CPU
#endif

typedef struct {
    const int32_t *first, *count, *weights; /* of each output row: its first input row, how many, their weights */
    Py_ssize_t taps;                        /* weights kept for each output row */
} Kernel;

FOR_EACH_CPU
static void block(const uint8_t *in, Py_ssize_t columns, Kernel k, Py_ssize_t height, uint8_t *out) {
    for (Py_ssize_t y = 0; y < height; y++, out += columns) {
        const uint8_t *row = in + k.first[y] * columns;
        int32_t sum[BLOCK];
        for (int x = 0; x < BLOCK; x++) sum[x] = HALF;
        for (int32_t t = 0; t < k.count[y]; t++, row += columns) {
            int32_t weight = k.weights[y * k.taps + t];
            for (int x = 0; x < BLOCK; x++) sum[x] += row[x] * weight;
        }
        for (int x = 0; x < BLOCK; x++) out[x] = (uint8_t)(sum[x] >> BITS);
    }
}

static void column(const uint8_t *in, Py_ssize_t columns, Kernel k, Py_ssize_t height, uint8_t *out) {
    for (Py_ssize_t y = 0; y < height; y++, out += columns) {
        const uint8_t *pixel = in + k.first[y] * columns;
        int32_t sum = HALF;
        for (int32_t t = 0; t < k.count[y]; t++, pixel += columns) sum += *pixel * k.weights[y * k.taps + t];
        *out = (uint8_t)(sum >> BITS);
    }
}

static int fits(Kernel k, Py_ssize_t height, Py_ssize_t rows) {
    for (Py_ssize_t y = 0; y < height; y++)
        if (k.first[y] < 0 || k.count[y] < 0 || k.count[y] > k.taps || k.first[y] > rows - k.count[y]) return 0;
    return 1;
}

static int run(Py_buffer *in, Py_ssize_t columns, Py_buffer *first, Py_buffer *count, Py_buffer *weights,
               Py_buffer *out) {
    Py_ssize_t height = first->len / 4;
    if (columns < 1 || height < 1 || in->len % columns || count->len != first->len || weights->len % (4 * height) ||
        out->len / columns != height || out->len % columns)
        return 0;
    Kernel k = {first->buf, count->buf, weights->buf, weights->len / (4 * height)};
    if (!fits(k, height, in->len / columns)) return 0;
    Py_BEGIN_ALLOW_THREADS;
    const uint8_t *source = in->buf;
    uint8_t *target = out->buf;
    Py_ssize_t x = 0;
    for (; x + BLOCK <= columns; x += BLOCK) block(source + x, columns, k, height, target + x);
    for (; x < columns; x++) column(source + x, columns, k, height, target + x);
    Py_END_ALLOW_THREADS;
    return 1;
}

static PyObject *resample(PyObject *self, PyObject *args) {
    Py_buffer in, first, count, weights, out;
    Py_ssize_t columns;
    if (!PyArg_ParseTuple(args, "y*ny*y*y*w*", &in, &columns, &first, &count, &weights, &out)) return NULL;
    int done = run(&in, columns, &first, &count, &weights, &out);
    PyBuffer_Release(&in);
    PyBuffer_Release(&first);
    PyBuffer_Release(&count);
    PyBuffer_Release(&weights);
    PyBuffer_Release(&out);
    if (done) Py_RETURN_NONE;
    PyErr_SetString(PyExc_ValueError, "image, weights and room do not fit each other");
    return NULL;
}

static PyMethodDef methods[] = {
    {"resample", resample, METH_VARARGS, "resample(pixels, columns, first, count, weights, out)"}, {NULL}};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "columns", NULL, 0, methods};

PyMODINIT_FUNC PyInit_columns(void) { return PyModuleDef_Init(&module); }
