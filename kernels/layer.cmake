# The layer's kernels: their CPU references always; the rest where the GEMMs' CUDA targets are.
set(RAILCAST_LAYER quantize swiglu rms_norm rope gate permute unpermute cross_entropy adamw dispatch combine requantize)
foreach(stem ${RAILCAST_LAYER})
  target_sources(railcast_kernels_reference PRIVATE ${CMAKE_CURRENT_LIST_DIR}/${stem}_reference.cpp)
  if(TARGET railcast_kernels)
    target_sources(railcast_kernels PRIVATE ${CMAKE_CURRENT_LIST_DIR}/${stem}.cu)
  endif()
  if(TARGET railcast_bench)
    target_sources(railcast_bench PRIVATE ${CMAKE_CURRENT_LIST_DIR}/${stem}_bench.cu)
  endif()
endforeach()
if(TARGET railcast_bench)
  target_sources(railcast_bench PRIVATE ${CMAKE_CURRENT_LIST_DIR}/layer_bench.cu
                                        ${CMAKE_CURRENT_LIST_DIR}/exchange_bench.cu
                                        ${CMAKE_CURRENT_LIST_DIR}/low_latency_bench.cu
                                        ${CMAKE_CURRENT_LIST_DIR}/moe_layer_bench.cu
                                        ${CMAKE_CURRENT_LIST_DIR}/nvlink_bench.cu
                                        ${CMAKE_CURRENT_LIST_DIR}/nvlink_beside_bench.cu
                                        ${CMAKE_CURRENT_LIST_DIR}/rank_groups.cpp)
endif()
# What dispatch and combine share: the windows' layout on any machine, the windows where there is CUDA.
target_sources(railcast_kernels_reference PRIVATE ${CMAKE_CURRENT_LIST_DIR}/exchange_layout.cpp
                                                     ${CMAKE_CURRENT_LIST_DIR}/processes.cpp
                                                     ${CMAKE_CURRENT_LIST_DIR}/low_latency_reference.cpp
                                                     ${CMAKE_CURRENT_LIST_DIR}/moe_layer_reference.cpp)
if(TARGET railcast_kernels)
  target_sources(railcast_kernels PRIVATE ${CMAKE_CURRENT_LIST_DIR}/dispatch_layout.cu
                                          ${CMAKE_CURRENT_LIST_DIR}/exchange_memory.cpp
                                          ${CMAKE_CURRENT_LIST_DIR}/nccl.cpp
                                          ${CMAKE_CURRENT_LIST_DIR}/moe_layer.cpp
                                          ${CMAKE_CURRENT_LIST_DIR}/dispatch_low_latency.cu
                                          ${CMAKE_CURRENT_LIST_DIR}/combine_low_latency.cu)
endif()
