# The kernels, once per level. -O3: tiles of accumulators must be unrolled completely to live in registers.
set(cpu_kernel_folder ${PROJECT_SOURCE_DIR}/corbel/device/cpu/kernels)
set(cpu_kernel_sources
    ${cpu_kernel_folder}/attention.cpp
    ${cpu_kernel_folder}/attention_bf16.cpp
    ${cpu_kernel_folder}/attention_int8.cpp
    ${cpu_kernel_folder}/encode.cpp
    ${cpu_kernel_folder}/linear.cpp
    ${cpu_kernel_folder}/packed.cpp
    ${cpu_kernel_folder}/packed_codes.cpp
    ${cpu_kernel_folder}/packed_import_halves.cpp
    ${cpu_kernel_folder}/packed_imports.cpp
    ${cpu_kernel_folder}/packed_indexed.cpp
    ${cpu_kernel_folder}/packed_quantize.cpp
    ${cpu_kernel_folder}/packed_rows.cpp
    ${cpu_kernel_folder}/packed_w8.cpp
    ${cpu_kernel_folder}/probes.cpp
    ${cpu_kernel_folder}/rows.cpp
    ${cpu_kernel_folder}/strip_fp8.cpp
    ${cpu_kernel_folder}/strip_lanes.cpp
    ${cpu_kernel_folder}/table.cpp)
# The warnings left out are about GCC 12's own intrinsics headers, and about vector types as template arguments.
set(cpu_kernel_flags -O3 -falign-loops=64 -fno-exceptions -fno-rtti -fvisibility=hidden -Wno-ignored-attributes)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  list(APPEND cpu_kernel_flags -Wno-uninitialized -Wno-maybe-uninitialized)
endif()
set(cpu_v3_flags -mavx2 -mfma -mf16c)
set(cpu_avx512_flags ${cpu_v3_flags} -mavx512f -mavx512bw -mavx512vl -mavx512dq -mavx512vnni -mavx512vbmi)

corbel_kernels(corbel_device_cpu LEVEL v2 FLAGS ${cpu_kernel_flags} SOURCES ${cpu_kernel_sources})
corbel_kernels(corbel_device_cpu LEVEL v3 FLAGS ${cpu_kernel_flags} ${cpu_v3_flags} SOURCES ${cpu_kernel_sources})
corbel_kernels(corbel_device_cpu LEVEL avx512 FLAGS ${cpu_kernel_flags} ${cpu_avx512_flags} SOURCES ${cpu_kernel_sources})
corbel_kernels(corbel_device_cpu LEVEL avx512bf16 FLAGS ${cpu_kernel_flags} ${cpu_avx512_flags} -mavx512bf16
               SOURCES ${cpu_kernel_sources})
# Measured only: the level has no kernels of its own yet.
corbel_kernels(corbel_device_cpu LEVEL amx FLAGS ${cpu_kernel_flags} ${cpu_avx512_flags} -mamx-tile -mamx-bf16 -mamx-int8
               SOURCES ${cpu_kernel_folder}/tile_probes.cpp)
