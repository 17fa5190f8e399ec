// The products of weights and vectors, in plain C that the compiler turns into vector instructions, for the processor
// that it then runs on.
//
// A float sum is added in the order of the components, whatever the processor and the other vectors: the same vector
// always gets the same bits. Integer sums are exact, so their order does not matter.
#include "kernel.h"

#pragma STDC FP_CONTRACT OFF

#if defined(__x86_64__) && !defined(__clang__) && __GNUC__ >= 12
#define FOR_EACH_PROCESSOR __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define FOR_EACH_PROCESSOR
#endif

typedef float lanes __attribute__((vector_size(4 * BLOCK / 2)));

static inline int32_t absolute_bits(float v) {
	int32_t bits;
	__builtin_memcpy(&bits, &v, 4);
	return bits & 0x7fffffff;
}

// interleave centres the vectors of a block and puts them side by side. It returns the bits of the largest absolute
// component, which are those of infinity or more when one is not finite.
FOR_EACH_PROCESSOR int32_t interleave(const float *vectors, long stride, const float *mean, float *x, long dim) {
	int32_t largest = 0;
	for (long j = 0; j < dim; j++) {
		float m = mean[j];
		for (int v = 0; v < BLOCK; v++)
			x[j * BLOCK + v] = vectors[v * stride + j] - m;
		for (int v = 0; v < BLOCK; v++) {
			int32_t bits = absolute_bits(x[j * BLOCK + v]);
			largest = bits > largest ? bits : largest;
		}
	}
	return largest;
}

// multiply computes out[r * BLOCK + v], the product of row r and vector v of a block.
FOR_EACH_PROCESSOR void multiply(const float *weights, const float *x, float *out, long rows, long dim) {
	for (long r = 0; r < rows; r++) {
		lanes a = {0}, b = {0}, p, q;
		for (long j = 0; j < dim; j++) {
			__builtin_memcpy(&p, x + j * BLOCK, sizeof p);
			__builtin_memcpy(&q, x + j * BLOCK + BLOCK / 2, sizeof q);
			a += p * weights[r * dim + j];
			b += q * weights[r * dim + j];
		}
		__builtin_memcpy(out + r * BLOCK, &a, sizeof a);
		__builtin_memcpy(out + r * BLOCK + BLOCK / 2, &b, sizeof b);
	}
}

// multiply_sparse does it for rows of which only some weights are held: those from[r] to from[r + 1] - 1, each for
// component at[].
FOR_EACH_PROCESSOR void multiply_sparse(const float *weights, const uint16_t *at, const int32_t *from, const float *x, float *out, long rows) {
	for (long r = 0; r < rows; r++) {
		lanes a = {0}, b = {0}, p, q;
		for (long k = from[r]; k < from[r + 1]; k++) {
			const float *component = x + (long)at[k] * BLOCK;
			__builtin_memcpy(&p, component, sizeof p);
			__builtin_memcpy(&q, component + BLOCK / 2, sizeof q);
			a += p * weights[k];
			b += q * weights[k];
		}
		__builtin_memcpy(out + r * BLOCK, &a, sizeof a);
		__builtin_memcpy(out + r * BLOCK + BLOCK / 2, &b, sizeof b);
	}
}

// quantize centres n vectors and rounds each to steps of its scale, its largest absolute component being that many steps.
// It returns what interleave returns. The vectors are overwritten.
FOR_EACH_PROCESSOR int32_t quantize(float *vectors, long n, const float *mean, int16_t *x, long dim, float steps, float *scales) {
	int32_t largest = 0;
	for (long v = 0; v < n; v++, vectors += dim, x += dim) {
		int32_t own = 0;
		for (long j = 0; j < dim; j++) {
			vectors[j] -= mean[j];
			int32_t bits = absolute_bits(vectors[j]);
			own = bits > own ? bits : own;
		}
		largest = own > largest ? own : largest;
		float top, inverse = 0;
		__builtin_memcpy(&top, &own, 4);
		scales[v] = 0;
		if (top > 1e-30f && top <= 3.4028234e38f) { // otherwise it is as good as 0, or the caller refuses it
			scales[v] = top / steps;
			inverse = steps / top;
		}
		for (long j = 0; j < dim; j++) {
			float step = scales[v] > 0 ? vectors[j] * inverse : 0;
			x[j] = (int16_t)(int32_t)(step + (step < 0 ? -.5f : .5f));
		}
	}
	return largest;
}

// multiply8 computes out[v * rows + r], the product of row r and vector v, in integers. row is work space.
FOR_EACH_PROCESSOR void multiply8(const int8_t *weights, const int16_t *x, int16_t *row, int32_t *out, long rows, long n, long dim) {
	for (long r = 0; r < rows; r++) {
		for (long j = 0; j < dim; j++)
			row[j] = weights[r * dim + j];
		for (long v = 0; v < n; v++) {
			const int16_t *vector = x + v * dim;
			int32_t sum = 0;
			for (long j = 0; j < dim; j++)
				sum += (int32_t)row[j] * vector[j];
			out[v * rows + r] = sum;
		}
	}
}
