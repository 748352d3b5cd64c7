/* Numbers in the forms that the launcher speaks: plans, frames, file requests. All are little-endian, and none need be aligned. Plain
 * arithmetic, so also for processes that share another's memory. */
#ifndef LITTLE_ENDIAN_H
#define LITTLE_ENDIAN_H

#include <stdint.h>

static inline void put_u16(unsigned char *at, uint16_t value) { at[0] = (unsigned char)value; at[1] = (unsigned char)(value >> 8); }
static inline void put_u32(unsigned char *at, uint32_t value) { put_u16(at, (uint16_t)value); put_u16(at + 2, (uint16_t)(value >> 16)); }
static inline void put_u64(unsigned char *at, uint64_t value) { put_u32(at, (uint32_t)value); put_u32(at + 4, (uint32_t)(value >> 32)); }
static inline uint16_t get_u16(const unsigned char *at) { return (uint16_t)(at[0] | at[1] << 8); }
static inline uint32_t get_u32(const unsigned char *at) { return get_u16(at) | (uint32_t)get_u16(at + 2) << 16; }
static inline uint64_t get_u64(const unsigned char *at) { return get_u32(at) | (uint64_t)get_u32(at + 4) << 32; }

#endif
