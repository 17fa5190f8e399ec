#include <stdint.h>

// How many vectors the float kernels take at once, side by side: component j of vector v is x[j * BLOCK + v].
#define BLOCK 32

int32_t interleave(const float *vectors, long stride, const float *mean, float *x, long dim);
void multiply(const float *weights, const float *x, float *out, long rows, long dim);
void multiply_sparse(const float *weights, const uint16_t *at, const int32_t *from, const float *x, float *out, long rows);

int32_t quantize(float *vectors, long n, const float *mean, int16_t *x, long dim, float steps, float *scales);
void multiply8(const int8_t *weights, const int16_t *x, int16_t *row, int32_t *out, long rows, long n, long dim);
