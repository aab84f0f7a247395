# What `cmake --install` lays down: headers, the floors as static libraries behind corbel::corbel, the C library when there is one,
# the command, the built-in model, and the CMake package that find_package(corbel 0.1) reads.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

# Header-only code must round as ours does: an inline function compiled with contraction could be linked in place of our copy.
add_library(corbel_all INTERFACE)
get_property(corbel_libraries GLOBAL PROPERTY CORBEL_LIBRARIES)
target_link_libraries(corbel_all INTERFACE ${corbel_libraries})
target_compile_features(corbel_all INTERFACE cxx_std_20)
target_compile_options(corbel_all INTERFACE $<INSTALL_INTERFACE:-ffp-contract=off>)
target_include_directories(corbel_all INTERFACE $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
set_target_properties(corbel_all PROPERTIES EXPORT_NAME corbel)
add_library(corbel::corbel ALIAS corbel_all)

# The C interface, with nothing else visible.
if(EXISTS ${PROJECT_SOURCE_DIR}/corbel/corbel.cpp)
  add_library(corbel_c SHARED ${PROJECT_SOURCE_DIR}/corbel/corbel.cpp)
  target_link_libraries(corbel_c PRIVATE corbel_all)
  target_compile_definitions(corbel_c PRIVATE CORBEL_VERSION="${PROJECT_VERSION}")
  target_include_directories(corbel_c PUBLIC $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
  set_target_properties(corbel_c PROPERTIES OUTPUT_NAME corbel VERSION ${PROJECT_VERSION} SOVERSION 0 CXX_VISIBILITY_PRESET hidden)
  set(symbols ${PROJECT_SOURCE_DIR}/cmake/exported_symbols.map)
  target_link_options(corbel_c PRIVATE -Wl,--version-script=${symbols})
  if(NOT CORBEL_SANITIZE)  # a sanitizer's own functions are found in the program, not in the library
    target_link_options(corbel_c PRIVATE -Wl,--no-undefined)
  endif()
  set_target_properties(corbel_c PROPERTIES LINK_DEPENDS ${symbols})
  install(TARGETS corbel_c EXPORT corbelTargets LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
  if(CORBEL_TESTS)
    corbel_test(corbel_c ${PROJECT_SOURCE_DIR}/corbel LIBRARIES corbel_c)
  endif()
endif()

install(TARGETS corbel_all ${corbel_libraries} EXPORT corbelTargets ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR}/corbel)
install(DIRECTORY ${PROJECT_SOURCE_DIR}/corbel/ DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/corbel
        FILES_MATCHING PATTERN "*.h"
        PATTERN "test_*.h" EXCLUDE PATTERN "device/cpu" EXCLUDE PATTERN "device/cuda" EXCLUDE PATTERN "device/emulated" EXCLUDE)
if(TARGET corbel)
  install(TARGETS corbel RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT command)
endif()
install(DIRECTORY ${PROJECT_SOURCE_DIR}/share/pico DESTINATION ${CMAKE_INSTALL_DATADIR}/corbel COMPONENT command)
install(FILES ${PROJECT_SOURCE_DIR}/deploy/corbel.service DESTINATION lib/systemd/system COMPONENT command)
install(DIRECTORY ${PROJECT_SOURCE_DIR}/deploy/ DESTINATION ${CMAKE_INSTALL_DOCDIR}/deploy COMPONENT command
        PATTERN corbel.service EXCLUDE)

set(package_folder ${CMAKE_INSTALL_LIBDIR}/cmake/corbel)
install(EXPORT corbelTargets NAMESPACE corbel:: DESTINATION ${package_folder})
configure_package_config_file(${PROJECT_SOURCE_DIR}/cmake/corbelConfig.cmake.in ${PROJECT_BINARY_DIR}/generated/corbelConfig.cmake
                              INSTALL_DESTINATION ${package_folder})
# Before 1.0 a minor version may break: 0.1 accepts 0.1.x alone.
write_basic_package_version_file(${PROJECT_BINARY_DIR}/generated/corbelConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/generated/corbelConfig.cmake ${PROJECT_BINARY_DIR}/generated/corbelConfigVersion.cmake
        DESTINATION ${package_folder})

# `make package`: the command, its model, the unit; a .deb, and a tarball that runs wherever it is unpacked.
set(CPACK_GENERATOR DEB TGZ)
set(CPACK_COMPONENTS_ALL command)
set(CPACK_PACKAGE_NAME corbel)
set(CPACK_PACKAGE_VERSION ${PROJECT_VERSION})
set(CPACK_PACKAGE_VENDOR Corbel)
set(CPACK_PACKAGE_CONTACT "Corbel <corbel@localhost>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "language models from a Hugging Face folder to this machine: verified, fast, served")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_PACKAGE_DIRECTORY ${PROJECT_BINARY_DIR}/../package)
set(CPACK_PACKAGE_CHECKSUM SHA256)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_COMMAND_PACKAGE_NAME corbel)
set(CPACK_DEBIAN_COMMAND_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_SECTION science)
set(CPACK_ARCHIVE_COMPONENT_INSTALL ON)
set(CPACK_ARCHIVE_COMMAND_FILE_NAME corbel-${PROJECT_VERSION}-${CMAKE_SYSTEM_PROCESSOR})
set(CPACK_PACKAGE_FILE_NAME corbel-${PROJECT_VERSION}-${CMAKE_SYSTEM_PROCESSOR})
set(CPACK_PROJECT_CONFIG_FILE ${PROJECT_SOURCE_DIR}/cmake/package.cmake)
include(CPack)
